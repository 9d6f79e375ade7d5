#!/usr/bin/env python
"""Run a tunix_site management command."""

import os
import sys


def main() -> None:
    """Point Django at the settings and hand over the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tunix_site.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The site cannot start. {error}")


if __name__ == "__main__":
    main()
