"""The pages in a browser, as a reader would use them: nothing comes from elsewhere, no script complains."""

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from mxnetseg.report import read_results, write_comparison, write_report

from .made import results

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
CLASSES = ["grass", HOSTILE, "$\\frac</script>"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of a report on seven images, names and classes among them that try to be HTML."""
    folder = tmp_path_factory.mktemp("report") / "A"
    names = ["b/plain", HOSTILE, "ünïcode", "{{ 7 * 7 }}", "half \udcff", "a/first", "</script><b>bold"]
    write_report(results(images=7, names=names, classes=CLASSES), folder)
    return folder


@pytest.fixture
def page(browser, report):
    browser.driver.set_window_size(1280, 900)
    browser.open("about:blank")
    browser.asked(), browser.complaints()
    browser.open((report / "report.html").as_uri())
    yield browser
    assert [address for address in browser.asked() if not address.endswith("report.html")] == []
    assert browser.complaints() == [] and browser.driver.title != "taken"


def column(driver, number, table="images"):
    cells = driver.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr:not([hidden]) td:nth-child({number})")
    return [cell.text for cell in cells]


def click(element):
    element.parent.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)  # not below the menu
    element.click()


def press(driver, table, number):
    click(driver.find_element(By.CSS_SELECTOR, f"#{table} thead th:nth-child({number}) button"))


def test_a_click_on_a_head_sorts(page):
    driver = page.driver
    press(driver, "images", 2)
    rising = [float(text) for text in column(driver, 2)]
    press(driver, "images", 2)
    falling = [float(text) for text in column(driver, 2)]
    assert rising == sorted(rising) and falling == sorted(rising, reverse=True) and len(set(rising)) > 3
    press(driver, "images", 1)
    assert column(driver, 1)[:3] == ["</script><b>bold", HOSTILE, "a/first"]
    press(driver, "class-table", 3)
    values = [float(text) for text in column(driver, 3, "class-table")]
    assert values == sorted(values)


def test_filters(page):
    driver = page.driver
    find = driver.find_element(By.ID, "find")
    find.send_keys("FIRST")
    assert column(driver, 1) == ["a/first"] and driver.find_element(By.ID, "found").text == "1 of 7"
    find.clear()
    find.send_keys("no such image")
    assert column(driver, 1) == []
    find.clear()
    find.send_keys(Keys.BACK_SPACE)
    Select(driver.find_element(By.ID, "shows")).select_by_index(1)
    assert len(column(driver, 1)) == 7


def test_pictures_are_enlarged(page):
    driver = page.driver
    shots = driver.find_elements(By.CSS_SELECTOR, ".shot")
    box = driver.find_element(By.ID, "enlarged")
    assert len(shots) == 7 and not box.is_displayed()
    click(shots[0])
    first = box.find_element(By.TAG_NAME, "b").text
    images = box.find_elements(By.TAG_NAME, "img")
    assert box.is_displayed() and len(images) == 4
    assert all(driver.execute_script("return arguments[0].naturalWidth", image) == 32 for image in images)
    assert images[0].size["width"] > 1.5 * shots[0].find_element(By.TAG_NAME, "img").size["width"]
    box.find_element(By.CSS_SELECTOR, "[data-step='1']").send_keys(Keys.ARROW_RIGHT)
    assert box.find_element(By.TAG_NAME, "b").text != first
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not box.is_displayed()
    click(driver.find_element(By.CSS_SELECTOR, "#images button[data-image='5']"))
    assert box.find_element(By.TAG_NAME, "b").text == "a/first"
    box.find_element(By.CSS_SELECTOR, "[data-close]").click()


def test_rankings_and_the_order_of_the_matrix(page, report):
    driver = page.driver
    numbers = read_results(report)
    rank = Select(driver.find_element(By.ID, "rank"))
    assert rank.options[0].text == "lowest mIoU" and f"class: {HOSTILE}" in [option.text for option in rank.options]
    rank.select_by_visible_text("class: grass")
    captions = [each.text for each in driver.find_elements(By.CSS_SELECTOR, ".caption")]
    counts = numbers.arrays["counts"][:, 0]
    worst = (counts[:, 1] + counts[:, 2] - 2 * counts[:, 0]).max()
    assert f"{worst:,} pixels missed or false" in captions[0]
    matrix = driver.find_element(By.ID, "matrix")
    assert matrix.get_attribute("data-order") == "0 1 2" and len(matrix.find_elements(By.TAG_NAME, "rect")) == 9
    Select(driver.find_element(By.ID, "matrix-order")).select_by_value("wrong")
    rows = numbers.matrix
    wrong = 1 - rows.diagonal() / rows.sum(1)
    assert matrix.get_attribute("data-order") == " ".join(map(str, (-wrong).argsort()))


def test_light_dark_narrow_and_printed(page, tmp_path):
    driver = page.driver

    def paper():
        return driver.execute_script("return getComputedStyle(document.body).backgroundColor")

    for theme in ("light", "dark"):
        media = {"features": [{"name": "prefers-color-scheme", "value": theme}]}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
        colour = "rgb(20, 24, 30)" if theme == "dark" else "rgb(247, 248, 250)"
        WebDriverWait(driver, 10).until(lambda _, colour=colour: paper() == colour)  # pages learn of it a moment later
        page.picture(tmp_path / f"{theme}.png")
    driver.find_element(By.ID, "theme").click()
    assert paper() == "rgb(247, 248, 250)"
    page.picture(tmp_path / "narrow.png", 500)
    assert driver.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    WebDriverWait(driver, 10).until(lambda _: paper() == "rgb(255, 255, 255)")
    assert not driver.find_element(By.TAG_NAME, "nav").is_displayed()
    page.picture(tmp_path / "print.png")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_a_comparison_shows_first_what_got_worse(browser, report, tmp_path):
    one = read_results(report)
    other = results(images=7, names=one.names, classes=CLASSES, worse=0.3)
    assert (other.arrays["counts"][..., 1] == one.arrays["counts"][..., 1]).all()
    page = write_comparison([(report, one), (tmp_path / "B", other), (report, one)], tmp_path / "compared")
    browser.asked(), browser.complaints()
    browser.open(page.as_uri())
    driver = browser.driver
    browser.picture(tmp_path / "compared.png")
    changes = [float(text) for text in column(driver, 5)]
    assert changes == sorted(changes) and changes[0] < -5
    assert set(column(driver, 6)) == {"+0.0"}
    rank = Select(driver.find_element(By.ID, "rank"))
    assert [option.text for option in rank.options] == ["B got worse than A"]
    shots = driver.find_elements(By.CSS_SELECTOR, ".shot")
    assert len(shots) == sum(change < 0 for change in changes)
    click(shots[0])
    labels = [each.text for each in driver.find_elements(By.CSS_SELECTOR, "#enlarged .tiles i")]
    assert labels == ["image", "truth", "A", "B", "C", "errors of A", "errors of B", "errors of C"]
    assert [each for each in browser.asked() if not each.endswith("compare.html")] == []
    assert browser.complaints() == [] and driver.title != "taken"


@pytest.mark.slow
def test_five_hundred_images(browser, tmp_path):
    """Pictures as large as those of photographs: noise takes more. Usable: the gallery is there, and a sort is done."""
    made = results(images=500)
    rng = np.random.RandomState(0)
    made.pictures = {
        number: (rng.bytes(30_000) if number % 12 else files[0], *(file + rng.bytes(5_000) for file in files[1:]))
        for number, files in made.pictures.items()
    }
    page = write_report(made, tmp_path / "large")
    assert 20e6 < page.stat().st_size < 30e6
    driver = browser.driver
    browser.open("about:blank")
    driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.open(page.as_uri())
    assert driver.execute_script("return document.documentElement.dataset.ready") == "yes"
    press(driver, "images", 2)
    assert len(driver.find_elements(By.CSS_SELECTOR, ".shot")) == 12
    metrics = driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    (spent,) = (each["value"] for each in metrics if each["name"] == "ThreadTime")
    assert 0 < spent < 2  # seconds of the processor: a clock would tell how busy the machine is
