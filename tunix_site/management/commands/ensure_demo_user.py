"""``manage.py ensure_demo_user``: the login that ``make demo`` prints."""

from typing import Any

from tunix_site.commands import TunixCommand
from tunix_site.demo_login import ensure_demo_login, login_file
from tunix_site.errors import ConflictError


class Command(TunixCommand):
    help = "Make the demo's login if it is missing, and print it."

    def run(self, **options: Any) -> dict[str, Any] | None:
        try:
            login = ensure_demo_login()
        except ConflictError as known:
            # Nothing is broken: somebody took the account over. The demo goes on without printing a password.
            self.say(str(known))
            return {"username": "demo", "password": None, "created": False}
        self.say(f"Sign in as {login.username} with the password {login.password}  (kept in {login_file()})")
        return {"username": login.username, "password": login.password, "created": login.created}
