"""The documentation page in a real browser that can reach only the server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from app.api.verbs import VERBS
from tests import arithmetic_bundle
from tests.e2e.process import server

IMAGE = Path(__file__).parent.parent / "data" / "images" / "digit.png"
PATHS = [verb.path for verb in VERBS]
PATIENCE = 30_000  # milliseconds; a busy machine renders slowly
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    repository = tmp_path_factory.mktemp("repository")
    arithmetic_bundle.write(repository)
    with server(repository) as (started, port):
        started.wait_for("serves on")
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip("no Chromium or Chrome is installed; apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1200, "height": 1600})
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def test_the_page_shows_every_verb_without_another_host(address: str, page: Page) -> None:
    """Every verb is visible, no error is logged, and only the server gets requests."""
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(f"{address}/docs", wait_until="networkidle")
    for path in PATHS:
        expect(_operation(page, path)).to_be_visible()
    assert errors == []
    assert f"{address}/openapi.json" in asked
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(address).netloc}


@pytest.mark.parametrize(("path", "member"), [("/sample", "images"), ("/decode", "images")])
def test_an_example_works_as_it_stands(address: str, page: Page, path: str, member: str) -> None:
    """A click on Execute sends a verb's unchanged example and gets images with status 200."""
    operation = _try_out(page, address, path)
    answer = _execute(page, operation, path)
    assert len(answer[member]) >= 1
    expect(operation.locator(".live-responses-table .highlight-code")).to_contain_text(member)


@pytest.mark.parametrize(
    ("path", "member"), [("/encode", "mean"), ("/reconstruct", "images"), ("/score", "elbo")]
)
def test_a_chosen_file_is_uploaded(address: str, page: Page, path: str, member: str) -> None:
    """A verb that takes images returns 200 for a file chosen in its form."""
    operation = _try_out(page, address, path)
    operation.locator("input[type=file]").set_input_files(IMAGE)
    assert len(_execute(page, operation, path)[member]) == 1


@pytest.mark.parametrize(
    ("path", "member"), [("/encode", "mean"), ("/reconstruct", "images"), ("/score", "elbo")]
)
def test_the_json_example_of_an_image_works(
    address: str, page: Page, path: str, member: str
) -> None:
    """The JSON example has an image in base64 that the service accepts unchanged."""
    operation = _try_out(page, address, path)
    operation.get_by_label("Request content type").select_option("application/json")
    assert len(_execute(page, operation, path)[member]) == 1


def _try_out(page: Page, address: str, path: str) -> Locator:
    page.goto(f"{address}/docs")
    operation = _operation(page, path)
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    return operation


def _execute(page: Page, operation: Locator, path: str) -> dict[str, Any]:
    """Clicks on Execute, waits until the page shows status 200, and returns the JSON."""
    with page.expect_response(lambda response: urlsplit(response.url).path == path) as answered:
        operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table tbody .response").first
    expect(live.locator(".response-col_status")).to_contain_text("200")
    answer: dict[str, Any] = json.loads(answered.value.body())
    return answer


def _operation(page: Page, path: str) -> Locator:
    """The block of the POST operation at `path`."""
    summary = page.locator(f'.opblock-summary-path[data-path="{path}"]')
    return page.locator(".opblock-post").filter(has=summary)
