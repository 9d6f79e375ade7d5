"""System checks of the site (``manage.py check``)."""
