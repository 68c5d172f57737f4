"""A record's files have two links; where one fails, the other has its turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from archive_server import Faults
from archives import RECORD, stand_in
from test_fetch import Command, Serve, big, target  # noqa: F401

from pereggrn_data.core.errors import NetworkError
from pereggrn_data.pipelines.collection import FetchPlan, fetch


@pytest.mark.parametrize(
    "page_link", ["whole", "wrong", "unsaid", "closed", "416", "500", "429", "400"]
)
def test_the_api_link_is_used_where_the_page_link_gives_no_parts(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
    page_link: str,
) -> None:
    server = serve({"perturbation_data.zip": big}, Faults(page_link=page_link))
    fetch("norman")
    assert target(cache_folder, "norman").read_bytes() == stand_in("norman", 700_000)
    assert all(s.range for s in server.file_requests()), "the whole archive is not needed"
    pages = [s for s in server.file_requests() if s.path.startswith("/records/")]
    assert len(pages) <= 2, "the link that works is kept"


def test_a_long_wait_is_honoured_not_worked_around(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
) -> None:
    faults = Faults(page_link="429", retry_after="3600")
    server = serve({"perturbation_data.zip": big}, faults)
    with pytest.raises(NetworkError, match="asks us to wait") as caught:
        fetch("norman")
    assert "60 minutes" in str(caught.value)
    assert len(server.file_requests()) == 1


def test_a_server_that_refuses_every_part_sends_the_whole(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
) -> None:
    server = serve({"perturbation_data.zip": big}, Faults(refuse_ranges=True))
    fetch("norman")
    assert target(cache_folder, "norman").read_bytes() == stand_in("norman", 700_000)
    assert server.file_requests()[-1].range is None


def test_both_links_in_trouble_never_mean_the_whole_archive(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
) -> None:
    faults = Faults(page_link="whole", api_link_status=503)
    server = serve({"perturbation_data.zip": big}, faults)
    with pytest.raises(NetworkError, match="in a row"):
        fetch("norman")
    assert all(s.range for s in server.file_requests())


def test_parts_are_tried_again_by_the_next_process(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
    command: Command,
) -> None:
    server = serve({"perturbation_data.zip": big}, Faults(ranges=False))
    assert command("lock").code == 0
    known = json.loads((cache_folder / RECORD / "release.json").read_text())
    assert [a["ranges"] for a in known["archives"]] == [None]
    server.faults.ranges = True
    server.seen.clear()
    fetch("norman")
    assert all(s.range for s in server.file_requests()), "the whole archive is not needed"
    (archive,) = json.loads(command("lock").out)["archives"]
    assert archive["members"]


def test_a_lock_made_while_parts_were_refused_does_not_forbid_them(
    serve: Serve,
    big: Path,  # noqa: F811
    cache_folder: Path,
    tmp_path: Path,
) -> None:
    server = serve({"perturbation_data.zip": big})
    fetch("dixit")
    known = json.loads((cache_folder / RECORD / "release.json").read_text())
    known["archives"][0]["ranges"] = False
    lock = tmp_path / "lock.json"
    lock.write_text(json.dumps(known))
    fetch("norman", lock=lock)
    assert all(s.range for s in server.file_requests())
    server.faults.ranges = False
    plans: list[FetchPlan] = []
    fetch("nakatake", lock=lock, confirm=lambda plan: bool(plans.append(plan)) or True)
    assert plans[0].transfer_bytes == big.stat().st_size, "the real size is shown beforehand"
