"""Train a small model on reasoning traces through the whole system, and show what it learned."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from datasets_app.models import Dataset
from datasets_app.services import seed_dataset
from runs import launching
from runs.demo import (
    ServedSite,
    borrowed_worker,
    find_port,
    held_out_sample,
    prompt_overlap,
    reusable_run,
)
from runs.devices import require_jax
from runs.evaluations.wording import in_words
from runs.models import Run
from runs.selectors import headline_evaluation
from runs.states import INTERRUPTED, Kind, Status
from training.config import TrainConfig
from tunix_site.demo_login import ensure_demo_login
from tunix_site.errors import ConflictError

SMOKE_STEPS = 10


class Command(launching.RunCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        launching.add_device_flags(parser)
        parser.add_argument(
            "--port", type=launching.positive, metavar="N", help="default: 8000, or the next free one"
        )
        parser.add_argument(
            "--serve", action="store_true", default=True, help="serve the site afterwards (default)"
        )
        parser.add_argument("--no-serve", action="store_false", dest="serve", help="end after the summary")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make the tables first: the demo is often the first command of all."""
        call_command("migrate", interactive=False, verbosity=0)
        super().handle(*args, **options)

    def run(self, **options: Any) -> dict[str, Any]:
        require_jax()
        port = find_port(options["port"]) if options["serve"] else None
        self.say("1/5  The database is ready")
        login = self._login()
        self.say("2/5  Seeding datasets")
        golden, chain = self._seed("golden-v2"), self._seed("chain-v1")
        device = launching.device_from_flags(options)
        with borrowed_worker(self.say):
            self.say(f"3/5  A trial of {SMOKE_STEPS} steps on golden-v2, on {device.key} ({device.name})")
            self._train(
                golden,
                "demo: golden-v2 trial",
                TrainConfig.model_validate(launching.smoke_fields(SMOKE_STEPS)),
                options,
            )
            self.say("4/5  Training on chain-v1: reasoning traces of arithmetic chains")
            run = self._train(chain, "demo: chain-v1", TrainConfig(), options)
            self.say("5/5  What it learned")
            result = self._summary(run, chain)
            if port is not None:
                with ServedSite(port) as site:
                    self.say(f"\nOpen  {site.address}{run.get_absolute_url()}")
                    if login:
                        self.say(f"Sign in as  {login[0]}  with the password  {login[1]}")
                    self.say("Ctrl-C ends the site and the worker.")
                    site.wait()
            else:
                self.say(f"\nIts page: {run.address} (serve the site with `make serve`)")
                if login:
                    self.say(f"Sign in as  {login[0]}  with the password  {login[1]}")
        return result

    def _login(self) -> tuple[str, str] | None:
        try:
            login = ensure_demo_login()
        except ConflictError as error:
            self.say(str(error))
            return None
        return login.username, login.password

    def _seed(self, key: str) -> Dataset:
        result = seed_dataset(key=key, count=None, seed=0)
        dataset = result.dataset
        state = "new" if result.created else "already there"
        self.say(f"     {dataset.address}: {dataset.trace_count} traces, {state}")
        return dataset

    def _train(self, dataset: Dataset, name: str, config: TrainConfig, options: dict[str, Any]) -> Run:
        """Train through the queue; take up what an earlier demo finished or left."""
        device = launching.device_from_flags(options)
        earlier = reusable_run(name=name, dataset=dataset, config=config, device=device)
        if earlier is not None and earlier.status == Status.COMPLETED:
            self.say(f"     run {earlier.pk} did this already")
            return earlier
        if earlier is not None and earlier.status in INTERRUPTED:
            run = self.carry_out(earlier, foreground=False, resume_path="")
        elif earlier is not None:
            run = self.follow(earlier)
        else:
            run = self.carry_out(
                self.create_run(
                    kind=Kind.TRAIN,
                    config=config,
                    device=device,
                    dataset=dataset,
                    total_steps=config.steps,
                    name=name,
                ),
                foreground=False,
            )
        self.require_success(run)
        return run

    def _summary(self, run: Run, dataset: Dataset) -> dict[str, Any]:
        evaluation = headline_evaluation(run=run)
        if evaluation is None:
            raise CommandError(f"Run {run.pk} has no evaluation.", returncode=1)
        overlap = prompt_overlap(dataset)
        if overlap:
            raise CommandError(f"{overlap} held-out prompts stand in the training split too.", returncode=1)
        sample = held_out_sample(evaluation)
        if sample is not None:
            self.say(f"     A prompt that it never saw:  {sample.prompt}")
            for step, valid in zip(sample.generated_steps, sample.steps_valid, strict=False):
                mark = {True: "valid", False: "WRONG", None: ""}[valid]
                self.say(f"       {step:<12} {mark}")
            verdict = "right" if sample.correct else f"WRONG, expected {sample.expected_answer}"
            self.say(f"     Its answer:  {sample.answer}  ({verdict})")
        self.say(
            f"     Held-out answers right: {in_words(evaluation)}; prompts shared with training: {overlap}"
        )
        return {
            "run_id": run.pk,
            "status": run.status,
            "dataset": dataset.key,
            "content_hash": dataset.content_hash,
            "n": evaluation.n,
            "answer_accuracy": evaluation.answer_accuracy,
            "interval": [evaluation.interval_low, evaluation.interval_high],
            "step_accuracy": evaluation.step_accuracy,
            "prompt_overlap": overlap,
            "params_hash": run.params_hash,
            "url": run.address,
        }
