"""``import_model``: a Hugging Face model, from a folder or from the hub, becomes a base model."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from runs.base_models.copying import Progressed
from runs.base_models.from_hub import import_repository
from runs.base_models.hub import Hub
from runs.base_models.importing import Imported, import_folder, scan, verify
from runs.base_models.naming import is_repository
from runs.base_models.places import as_size
from tunix_site.commands import TunixCommand, add_flag
from tunix_site.errors import InvalidInputError

MAX_TOKEN = 4096


class Command(TunixCommand):
    help = "Import a Hugging Face model (config.json, safetensors, tokenizer) from a folder or from the hub."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("source", metavar="PATH_OR_REPO", nargs="?", help="a folder, or OWNER/NAME")
        add_flag(parser, "--revision", default="", help="a branch, tag or commit of the hub; default: main")
        add_flag(parser, "--name", default="", help="what recipes call it; default: after the source")
        add_flag(
            parser, "--token-file", metavar="FILE", help="a file with a token of the hub; default: HF_TOKEN"
        )
        add_flag(
            parser,
            "--scan",
            action="store_true",
            help="only take up what lies in the artifacts and is not known",
        )

        add_flag(
            parser,
            "--verify",
            action="store_true",
            help="only read all base models here and hold them against their hashes",
        )

    def run(self, **options: Any) -> dict[str, Any]:
        source = options["source"]
        if options["scan"] or options["verify"]:
            others = ("source", "revision", "name", "token_file")
            if any(options[one] for one in others) or (options["scan"] and options["verify"]):
                raise CommandError("--scan and --verify take nothing beside them.", returncode=2)
            return self._scan() if options["scan"] else self._verify()
        if not source:
            raise CommandError("Name a folder or a repository, OWNER/NAME.", returncode=2)
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(source, total=None)

            def progressed(done: int, total: int, what: str) -> None:
                bar.update(task, completed=done, total=total or None, description=what)

            imported = self._import(source, options, progressed)
        return self._tell(imported)

    def _import(self, source: str, options: dict[str, Any], progressed: Progressed) -> Imported:
        folder = Path(source).expanduser()
        if folder.is_dir():
            if options["revision"]:
                raise InvalidInputError(f"--revision is for the hub, and {source} is a folder here.")
            return import_folder(folder, name=options["name"], progressed=progressed)
        if folder.exists():
            raise InvalidInputError(f"{source} is a file.", hint="Name the folder that holds config.json.")
        if not is_repository(source):
            raise InvalidInputError(f"There is no folder {source}, and a repository is written OWNER/NAME.")
        return import_repository(
            source,
            revision=options["revision"],
            name=options["name"],
            hub=Hub(_read_token(options["token_file"])),
            progressed=progressed,
        )

    def _scan(self) -> dict[str, Any]:
        made = scan()
        for row in made:
            self.say(f"Found {row.reference} ({row.family}).")
        if not made:
            self.say("Nothing new lies in the artifacts.")
        return {"found": [row.reference for row in made]}

    def _verify(self) -> dict[str, Any]:
        damaged, count = {}, 0
        for name, files in verify():
            count += 1
            self.say(f"{name}: DAMAGED: {', '.join(files)}." if files else f"{name}: sound.")
            if files:
                damaged[name] = files
        result = {"verified": count, "damaged": damaged}
        if damaged:
            if self.as_json:
                self.stdout.write(json.dumps(result))
            raise CommandError(
                f"{len(damaged)} of {count} base models are damaged. Import each again from where it came "
                "from: that mends it.",
                returncode=1,
            )
        return result

    def _tell(self, imported: Imported) -> dict[str, Any]:
        row = imported.row
        if imported.created:
            size = f"{row.parameters:,} parameters, {as_size(row.size_bytes)} in {row.dtype}"
            self.say(f"Imported {row.reference}: {row.family}, {size}.")
        elif imported.mended:
            self.say(f"{row.reference} was here. Mended what was damaged: {', '.join(imported.mended)}.")
        else:
            self.say(f"{row.reference} is here already with this content. Nothing changed.")
        for note in imported.notes:
            self.say(f"Note: {note}")
        if row.tokenizer_hash:
            self.say(f"Train from it: manage.py train --model {row.reference} --dataset KEY")
        return {
            "name": row.name,
            "reference": row.reference,
            "content_hash": row.content_hash,
            "family": row.family,
            "parameters": row.parameters,
            "files": row.files,
            "created": imported.created,
            "mended": list(imported.mended),
        }


def _read_token(file: str | None) -> str:
    if file is None:
        return ""
    try:
        token = Path(file).read_bytes()[:MAX_TOKEN].decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not plain text"
        raise InvalidInputError(f"The token file {file} cannot be read: {why}.") from error
    if not token or any(sign.isspace() for sign in token):
        raise InvalidInputError(f"The token file {file} must hold one token and nothing else.")
    return token
