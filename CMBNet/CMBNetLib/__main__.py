"""``python -m CMBNetLib``: the command line."""

from .cli import main

raise SystemExit(main())
