"""``manage.py create_token USER --scope read|operate|admin``."""

from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandParser
from django.utils import timezone

from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import InvalidInputError, NotFoundError
from tunix_site.roles import SCOPES
from tunix_site.services import issue_token

LONGEST_DAYS = 3650


class Command(TunixCommand):
    help = "Make an API token for a user and print it alone, once; only its hash is kept."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", help="user name")
        add_flag(
            parser,
            "--scope",
            required=True,
            choices=SCOPES,
            help="read: look; operate: also start, stop, import",
        )
        add_flag(parser, "--name", default="", help="what the token is for")
        add_flag(parser, "--expires-in-days", type=int, help=f"1 to {LONGEST_DAYS}; never, unless given")

    def run(self, **options: Any) -> dict[str, Any] | None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise NotFoundError(
                f"There is no user {options['user']!r}.", hint="Make one: manage.py createsuperuser."
            )
        if not user.is_active:
            raise InvalidInputError(
                f"The account {user.username!r} is closed, so a token would open nothing."
            )
        days = options["expires_in_days"]
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise InvalidInputError(f"--expires-in-days {days}: it must be from 1 to {LONGEST_DAYS}.")
        if len(options["name"]) > 100:
            raise InvalidInputError("--name: at most 100 characters.")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        issued = issue_token(
            user=user, scope=options["scope"], name=options["name"], expires_at=expires_at, grant=True
        )
        if issued.joined_group:
            self.stderr.write(
                f"{user.username} joined the group {issued.joined_group}, which this scope needs."
            )
        if self.as_json:
            return {
                "token": issued.token,
                "user": user.username,
                "scope": issued.row.scope,
                "expires_at": expires_at.isoformat() if expires_at else None,
            }
        self.stdout.write(issued.token)
        return None
