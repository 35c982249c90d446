"""A headless Chromium for tests of pages, and what to ask it."""

import shutil

import pytest


@pytest.fixture(scope="session")
def browser():
    """A driver of Debian's Chromium, or a skipped test where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Containers: no sandbox for root, a small /dev/shm, no network to look for.
    for flag in ("headless", "no-sandbox", "disable-dev-shm-usage", "disable-gpu"):
        options.add_argument(f"--{flag}")
    for flag in ("networking", "timer-throttling"):
        options.add_argument(f"--disable-background-{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(executable_path=driver)
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def open_page(browser, path, width=1280, dark=False):
    """Opens a file as a screen of this width shows it."""
    browser.get_log("browser")  # of the page before
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1}
    screen["mobile"] = width < 600
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    browser.get(path.as_uri())


def complaints(browser):
    """What the page's console says, and what sticks out of its right edge."""
    said = [entry["message"] for entry in browser.get_log("browser")]
    wide = browser.execute_script(
        "const edge = document.documentElement.clientWidth;"
        "if (document.documentElement.scrollWidth <= edge) return [];"
        "return [...document.body.querySelectorAll('*')]"
        ".filter((e) => e.getBoundingClientRect().right > edge + 1)"
        ".map((e) => `${e.tagName} sticks out: ${e.textContent.slice(0, 40)}`)"
    )
    return said + wide
