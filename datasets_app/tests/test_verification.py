"""check_datasets finds each kind of damage, and repairs what the rows can repair."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from datasets_app import manifest
from datasets_app.models import Dataset, DatasetTrace, Trace
from datasets_app.services import seed_dataset
from datasets_app.verification import check_dataset, check_datasets
from tunix_site.errors import NotFoundError

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dataset() -> Dataset:
    return seed_dataset(key="golden-v2", count=20).dataset


def files(dataset: Dataset):
    folder = manifest.folder_of(dataset.key)
    return folder / "traces.jsonl", folder / "manifest.json"


def codes(**options) -> list[str]:
    return [finding.code for finding in check_datasets(**options)[1]]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("check_datasets", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_a_fresh_dataset_agrees_in_everything(dataset):
    seed_dataset(key="golden-v1")
    assert check_datasets() == (2, [])
    assert json.loads(run("--json")) == {"ok": True, "checked": 2, "repaired": 0, "findings": []}


def test_the_manifest_is_derived_from_the_rows(dataset):
    traces, written = files(dataset)
    content = json.loads(written.read_text())
    assert content["content_hash"] == dataset.content_hash
    assert content["hash_prefix"] == dataset.content_hash[:12]
    assert content["splits"] == {"train": dataset.train_count, "test": dataset.test_count}
    assert content["recipe"] == dataset.recipe
    assert content["generator_version"] == 1
    assert (content["source"], content["licence"]) == (dataset.source, "Apache-2.0")
    assert content["files"]["traces.jsonl"]["lines"] == 20 == len(traces.read_text().splitlines())


def test_the_files_hold_the_newest_content_of_a_key(dataset):
    newer = seed_dataset(key="golden-v2", count=21).dataset
    assert manifest.read_manifest("golden-v2")["content_hash"] == newer.content_hash
    assert manifest.read_manifest("golden-v2")["parent"] == dataset.content_hash
    assert check_datasets() == (2, []), "the older content is checked in the database alone"
    assert not list(manifest.folder_of("golden-v2").glob(".fresh*")), "no leftovers"


def remove_traces(traces, written):
    traces.unlink()


def remove_manifest(traces, written):
    written.unlink()


def change_manifest(traces, written):
    written.write_text(written.read_text().replace("Apache-2.0", "MIT"))


def break_manifest(traces, written):
    written.write_text("{")


def empty_manifest(traces, written):
    written.write_text("[]")


def change_trace(traces, written):
    lines = traces.read_text().splitlines(keepends=True)
    content = json.loads(lines[4])
    content["final_answer"] += "1"
    lines[4] = json.dumps(content) + "\n"
    traces.write_text("".join(lines))


def change_meta(traces, written):
    traces.write_text(traces.read_text().replace('"meta":{}', '"meta":{"a":1}', 1))


def change_order(traces, written):
    lines = traces.read_text().splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    traces.write_text("".join(lines))


def cut_off(traces, written):
    traces.write_bytes(traces.read_bytes()[:-100])


def drop_line(traces, written):
    traces.write_text("".join(traces.read_text().splitlines(keepends=True)[:-1]))


def not_text(traces, written):
    traces.write_bytes(b"\xff\xfe" + traces.read_bytes())


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (remove_traces, "traces-file-missing", "is missing"),
        (remove_manifest, "manifest-missing", "is missing"),
        (change_manifest, "manifest-changed", "licence, licences, provenance"),
        (break_manifest, "manifest-unreadable", "cannot be read"),
        (empty_manifest, "manifest-unreadable", "no JSON object"),
        (change_trace, "traces-file-changed", "line 5 changed"),
        (change_meta, "traces-file-changed", "something beside traces"),
        (change_order, "traces-file-reordered", "another order"),
        (cut_off, "traces-file-changed", "line 20"),
        (drop_line, "traces-file-changed", "has 19 traces, the database 20"),
        (not_text, "traces-file-changed", "line 1"),
    ],
)
def test_damaged_files_are_found_and_repaired(dataset, damage, code, words):
    damage(*files(dataset))
    (finding,) = check_dataset(dataset=dataset)
    assert (finding.code, finding.repaired) == (code, False)
    assert words in finding.message
    (repaired,) = check_dataset(dataset=dataset, repair=True)
    assert (repaired.code, repaired.repaired) == (code, True)
    assert check_datasets() == (1, [])


def test_a_changed_trace_in_the_database_is_found_and_not_repaired(dataset):
    trace = dataset.members.all()[3].trace
    Trace.objects.filter(pk=trace.pk).update(final_answer="wrong")
    findings = check_dataset(dataset=dataset, repair=True)
    assert [finding.code for finding in findings] == [
        "trace-changed",
        "traces-file-changed",
        "manifest-changed",
    ]
    assert f"position 3 (trace {trace.content_hash[:12]})" in findings[0].message
    assert not any(finding.repaired for finding in findings)
    assert "Not repaired: the rows themselves" in findings[1].message
    assert '"wrong"' not in files(dataset)[0].read_text(), "the sound file is not overwritten"


def test_a_changed_order_in_the_database_is_found_with_its_places(dataset):
    rows = list(dataset.members.all())
    DatasetTrace.objects.filter(pk=rows[1].pk).update(trace=rows[2].trace)
    DatasetTrace.objects.filter(pk=rows[2].pk).update(trace=rows[1].trace)
    found = check_dataset(dataset=dataset, repair=True)
    assert found[0].code == "order-changed"
    assert "position 1, 2 differ" in found[0].message


def test_a_changed_split_in_the_database_is_found(dataset):
    DatasetTrace.objects.filter(dataset=dataset, split="test").update(split="train")
    assert codes()[0] == "order-changed"


def test_missing_rows_are_found(dataset):
    DatasetTrace.objects.filter(dataset=dataset, position=7).delete()
    assert codes()[0] == "rows-missing"


def test_wrong_counts_are_found(dataset):
    Dataset.objects.filter(pk=dataset.pk).update(train_count=20, test_count=0)
    assert codes()[0] == "counts-changed"


def test_a_changed_trace_of_an_older_content_is_found(dataset):
    seed_dataset(key="golden-v2", count=5, seed=9)
    trace = dataset.members.all()[0].trace
    Trace.objects.filter(pk=trace.pk).update(prompt="wrong")
    assert codes(address=dataset.address) == ["trace-changed"]


def test_files_without_rows_are_found_and_left_alone(dataset):
    folder = manifest.datasets_dir() / "gone-v1"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    checked, findings = check_datasets(repair=True)
    assert checked == 1
    assert [(finding.code, finding.repaired) for finding in findings] == [("files-without-rows", False)]
    assert (folder / "manifest.json").exists()
    assert codes(address="gone-v1") == ["files-without-rows"]


def test_an_unknown_key_is_answered(dataset):
    with pytest.raises(NotFoundError, match="'nope'"):
        check_datasets(address="nope")


def test_the_command_ends_with_1_and_repairs_on_request(dataset):
    files(dataset)[0].unlink()
    out = StringIO()
    with pytest.raises(CommandError, match="Try --repair") as caught:
        call_command("check_datasets", "golden-v2", "--json", stdout=out, stderr=StringIO())
    assert caught.value.returncode == 1
    answer = json.loads(out.getvalue())
    assert (answer["ok"], answer["findings"][0]["code"]) == (False, "traces-file-missing")
    said = run("golden-v2", "--repair")
    assert "repaired: golden-v2@" in said
    assert "all is well" in run()


def test_a_repair_that_cannot_write_says_so(dataset):
    folder = manifest.folder_of("golden-v2")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    findings = check_dataset(dataset=dataset, repair=True)
    assert findings
    assert not any(finding.repaired for finding in findings)
    assert "could not be written" in findings[0].message
