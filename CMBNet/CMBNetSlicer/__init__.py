"""What touches MRML, Qt or the running application. Never imports torch: the detector runs in a child process."""
