"""Be the worker of this host; with Q_CLUSTER_NAME, be one of its clusters alone."""

import os
from typing import Any

from django.conf import settings
from django_q.management.commands.qcluster import Command as Qcluster

from runs.worker import WorkerProcess
from tunix_site.commands import TunixCommand
from tunix_site.errors import UserError


class Command(Qcluster):  # type: ignore[misc]  # django-q2 has no types
    help = __doc__
    requires_system_checks = TunixCommand.requires_system_checks

    def handle(self, *args: Any, **options: Any) -> None:
        """A bare cluster would serve no device and notice no lost run; so that is a whole worker."""
        named = options.get("cluster_name") or os.environ.get("Q_CLUSTER_NAME")
        if named and named != settings.Q_CLUSTER["name"]:
            super().handle(*args, **options)
            return
        from django.core.management.base import CommandError

        try:
            WorkerProcess().work()
        except UserError as error:
            raise CommandError(str(error), returncode=1) from error
