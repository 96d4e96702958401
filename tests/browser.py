"""Pages are opened in a headless Chromium, as a reader would, where there is one."""

import json
import shutil

import pytest


class Browser:
    """A page, and what it did: `driver` is Selenium's."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, address):
        self.driver.get(address)

    def asked(self):
        """Addresses asked for since the last call, without those that lie in the page itself."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
        addresses = [each["request"]["url"] for each in sent]
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]

    def complaints(self):
        """What the page's scripts complained about since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def picture(self, path, width=1280, height=900):
        """A screenshot of the window at a size."""
        self.driver.set_window_size(width, height)
        self.driver.save_screenshot(str(path))


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium for the tests of a file."""
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("pages are tested in Chromium: it takes chromium and chromedriver (Debian: chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # no sandbox: it can't be had as root; no shared memory: containers have too little
    for switch in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu", "force-device-scale-factor=1"):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
