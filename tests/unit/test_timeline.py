"""The timeline: bars made of events, as JSON and as a page that needs no script, and where it is written."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcompose import timeline
from lcompose.errors import DriftError, UsageError
from lcompose.spec.events import Event
from lcompose.timeline import Bar, Segment, as_html, as_json, headline, spans, write


def events(service: str, *states: tuple[str, float]) -> list[Event]:
    """What is told of a service."""
    return [Event("state", service, state, at) for state, at in states]


WEB = events("web", ("pulling", 0.0), ("starting", 2.0), ("warming", 2.5), ("ready", 9.0))
DB = events("db", ("starting", 1.0), ("warming", 1.25), ("ready", 4.0))
BARS = (
    Bar(
        "web",
        (
            Segment("pulling", 0.0, 2.0),
            Segment("starting", 2.0, 2.5),
            Segment("warming", 2.5, 9.0),
            Segment("ready", 9.0, 10.0),
        ),
        "ready",
    ),
    Bar(
        "db",
        (Segment("starting", 1.0, 1.25), Segment("warming", 1.25, 4.0), Segment("ready", 4.0, 10.0)),
        "ready",
    ),
)


def test_each_service_has_a_bar_of_what_it_went_through() -> None:
    assert spans([*WEB, *DB], 10.0) == BARS


def test_only_states_make_bars() -> None:
    others = [Event("step", "web", "is created", 1.0), Event("waiting", "web", "not yet", 3.0)]
    assert spans([*others, *WEB, *DB], 10.0) == BARS


def test_a_state_that_is_told_again_goes_on() -> None:
    [bar] = spans(events("web", ("warming", 1.0), ("warming", 2.0), ("ready", 3.0)), 3.0)
    assert bar.segments == (Segment("warming", 1.0, 3.0), Segment("ready", 3.0, 3.0))


def test_a_state_that_took_no_time_is_left_out_but_for_the_last() -> None:
    [bar] = spans(events("web", ("starting", 1.0), ("warming", 1.0), ("ready", 3.0)), 3.0)
    assert bar.segments == (Segment("warming", 1.0, 3.0), Segment("ready", 3.0, 3.0))


def test_a_service_that_is_offline_has_a_gap() -> None:
    [bar] = spans(events("web", ("ready", 1.0), ("offline", 2.0), ("starting", 3.0), ("error", 4.0)), 5.0)
    assert bar.segments == (Segment("ready", 1.0, 2.0), Segment("starting", 3.0, 4.0), Segment("error", 4.0, 5.0))


def test_events_that_come_late_are_put_in_order() -> None:
    [bar] = spans(events("web", ("ready", 2.0), ("warming", 1.0)), 1.5)
    assert bar.segments == (Segment("warming", 1.0, 2.0), Segment("ready", 2.0, 2.0))


def test_without_events_there_is_no_bar() -> None:
    assert spans([], 1.0) == ()


def test_bars_are_told_to_machines_with_their_times() -> None:
    assert as_json("demo", spans(DB, 4.12345), 4.12345) == {
        "project": "demo",
        "seconds": 4.123,
        "services": [
            {
                "service": "db",
                "segments": [
                    {"state": "starting", "from": 1.0, "to": 1.25},
                    {"state": "warming", "from": 1.25, "to": 4.0},
                    {"state": "ready", "from": 4.0, "to": 4.123},
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("last", "outcome"),
    [
        (("ready", 4.0), "ready after 4.0 s"),
        (("offline", 4.0), "done after 4.0 s"),
        (("error", 4.0), "error"),
        (("warming", 4.0), "warming"),
    ],
)
def test_a_bar_says_what_became_of_its_service(last: tuple[str, float], outcome: str) -> None:
    [bar] = spans(events("web", ("warming", 1.0), last), 5.0)
    assert bar.outcome == outcome


def test_a_service_that_was_ready_from_the_beginning_says_since_when() -> None:
    [bar] = spans(events("web", ("ready", 0.25)), 5.0)
    assert bar.outcome == "ready after 0.25 s"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "Ready after 10.0 s. The longest wait: web, 6.5 s warming."),
        (
            events("job", ("warming", 1.0), ("offline", 2.0)),
            "Ready after 10.0 s. The longest wait: web, 6.5 s warming.",
        ),
        (events("job", ("warming", 1.0)), "Not ready after 10.0 s. The longest wait: job, 9.0 s warming."),
        (
            events("job", ("pulling", 1.0), ("error", 9.0)),
            "Failed after 10.0 s: job. The longest wait: job, 8.0 s pulling.",
        ),
    ],
)
def test_a_sentence_says_how_it_went_and_what_took_longest(more: list[Event], told: str) -> None:
    assert headline(spans([*WEB, *more], 10.0), 10.0) == told


def test_where_nobody_waited_nothing_is_said_of_waiting() -> None:
    assert headline(spans(events("web", ("ready", 0.0)), 1.0), 1.0) == "Ready after 1.0 s."


class Page(HTMLParser):
    """A page taken apart: its tags with their attributes, its texts, and whether all tags are closed."""

    void = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.texts.append(data.strip())

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of a class."""
        return [found for _, found in self.tags if name in (found.get("class") or "").split()]


def page(*told: Event, end: float = 10.0, project: str = "demo") -> Page:
    """The page of what was told."""
    return Page(as_html(project, spans(told, end), end))


def test_the_page_says_the_project_the_seconds_and_every_number() -> None:
    texts = page(*WEB, *DB).texts
    assert texts[:2] == ["demo: 10.0 s", "demo: 10.0 s"]
    table = texts[texts.index("The numbers") + 1 :]
    assert [table[:6], table[6:12], table[12:]] == [
        ["service", "pulling", "starting", "warming", "ready", "outcome"],
        ["web", "2.0 s", "0.50 s", "6.5 s", "1.0 s", "ready after 9.0 s"],
        ["db", "0.25 s", "2.8 s", "6.0 s", "ready after 4.0 s"],
    ]


def test_each_segment_is_where_its_time_is() -> None:
    drawn = page(*DB).with_class("segment")
    assert [one["style"] for one in drawn] == [
        "left:min(10.000%,100% - 3px);width:2.500%",
        "left:min(12.500%,100% - 3px);width:27.500%",
        "left:min(40.000%,100% - 3px);width:60.000%",
    ]
    assert [one["class"] for one in drawn] == ["segment starting", "segment warming", "segment ready end"]
    assert drawn[1]["title"] == "warming: 2.8 s, from 1.2 s to 4.0 s"


def test_the_axis_has_round_numbers() -> None:
    texts = page(*WEB, end=23.0).texts
    assert texts[texts.index("seconds") - 5 : texts.index("seconds")] == ["0", "5", "10", "15", "20"]


def test_the_legend_has_the_states_that_occur() -> None:
    drawn = [one["class"] for one in page(*DB, *events("job", ("error", 2.0))).with_class("swatch")]
    assert drawn == ["swatch starting", "swatch warming", "swatch ready", "swatch error"]


def test_who_cannot_see_the_bars_is_told_the_same() -> None:
    [chart] = page(*WEB).with_class("chart")
    assert chart["role"] == "img"
    assert chart["aria-label"] == (
        "Ready after 10.0 s. The longest wait: web, 6.5 s warming. The table below has the numbers."
    )


def test_the_page_needs_nothing_from_anywhere_and_runs_nothing() -> None:
    text = as_html("demo", BARS, 10.0)
    found = Page(text)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "img", "iframe", "object", "a", "form"}
    assert not re.search(r"url\(|@import|https?:|//", text)
    assert any(
        attributes.get("content", "").startswith("default-src 'none'")
        for tag, attributes in found.tags
        if attributes.get("http-equiv")
    )
    assert "prefers-color-scheme: dark" in text


def test_every_state_has_a_colour_in_light_and_in_dark() -> None:
    text = as_html("demo", BARS, 10.0)
    for state in timeline.SHOWN:
        assert text.count(f"--{state}: #") == 2
        assert f".{state} {{" in text


def test_a_page_without_services_says_so() -> None:
    assert "No service was started." in page().texts


@given(project=st.text(min_size=1), service=st.text(min_size=1))
def test_no_name_becomes_a_tag_or_an_attribute(project: str, service: str) -> None:
    for hostile in (f"<script>{service}", f'"><b onclick="{service}'):
        found = page(*events(hostile, ("ready", 1.0)), project=hostile + project)
        assert found.open == []
        assert "script" not in {tag for tag, _ in found.tags} and "b" not in {tag for tag, _ in found.tags}
        assert not any("onclick" in attributes for _, attributes in found.tags)


def test_a_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new" / "boot.html"
    write(path, "demo", BARS, 10.0)
    assert path.read_text() == as_html("demo", BARS, 10.0)
    assert path.read_text().splitlines()[0] == "<!doctype html><!-- Made by lcompose: timeline -->"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_called_json_is_json(tmp_path: Path) -> None:
    path = tmp_path / "boot.JSON"
    write(path, "demo", BARS, 10.0)
    text = path.read_text()
    assert text.splitlines()[0] == '{"made_by": "lcompose timeline",'
    assert json.loads(text) == {"made_by": "lcompose timeline", **as_json("demo", BARS, 10.0)}


@pytest.mark.parametrize("name", ["boot.html", "boot.json"])
def test_a_timeline_is_replaced_and_so_is_an_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    write(path, "demo", BARS, 10.0)
    write(path, "other", BARS, 10.0)
    assert "other" in path.read_text() and "demo" not in path.read_text()
    assert [one.name for one in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["mine.html", "mine.json"])
def test_a_file_that_is_no_timeline_is_left_alone(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('<!doctype html>\n{"made_by": "me"}')
    with pytest.raises(DriftError, match="no timeline") as caught:
        write(path, "demo", BARS, 10.0)
    assert caught.value.where == str(path)
    assert path.read_text() == '<!doctype html>\n{"made_by": "me"}'


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file"):
        write(tmp_path, "demo", BARS, 10.0)
    with pytest.raises(UsageError, match="no file"):
        write(Path("/dev/null"), "demo", BARS, 10.0)


def test_of_a_link_the_file_that_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to("real.html")
    write(tmp_path / "link.html", "demo", BARS, 10.0)
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text().startswith("<!doctype html>")


def test_a_timeline_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "a.html").symlink_to("b.html")
    (tmp_path / "b.html").symlink_to("a.html")
    for path in (tmp_path / "file" / "boot.html", tmp_path / ("x" * 300), tmp_path / "a.html"):
        with pytest.raises(UsageError, match="cannot be written") as caught:
            write(path, "demo", BARS, 10.0)
        assert caught.value.fix == "Name another file with --timeline."
