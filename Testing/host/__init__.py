"""A stand-in for the 3D Slicer application: real MRML, real Qt, and the part of Slicer's Python API that modules use.

Start it once per process, before anything imports ``qt``, ``ctk`` or ``slicer``::

    import host
    application = host.start(property_folders=[repository / "MyModule"])
    widget = host.load_module(repository / "MyModule" / "MyModule.py").widget()

What is real (MRML, Qt), what is imitated and what is left out is said at the top of each file; anything that Slicer
has and the stand-in lacks is refused.
"""

from __future__ import annotations

from host.boot import properties_in, start, started
from host.modules import LoadedModule, load_module, unload_modules

__all__ = ["LoadedModule", "load_module", "properties_in", "start", "started", "unload_modules"]
