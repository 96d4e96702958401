"""The page at /, in a browser: nothing from elsewhere, what it draws is what the network says."""

import base64
import time

import numpy as np
import pytest

from mxnetseg.serve.page import page

from .conftest import png

TOKEN = "a-token-that-nobody-guesses"

DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), letter => letter.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "picture.png", {type: "image/png"}));
const event = arguments[1] === "paste"
  ? new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true})
  : new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true});
document.getElementById("drop").dispatchEvent(event);
"""
COLOURS = """
const canvas = document.getElementById("colours");
return [canvas.width, canvas.height, [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]];
"""


def test_it_is_allowed_itself_alone():
    html, policy = page().body.decode(), page().headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    assert "http://" not in html and "https://" not in html and " style=" not in html and " on" + "click=" not in html


def wait_for(what, seconds=30):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def message(browser):
    return browser.driver.find_element("id", "message").text


def show(browser, data, how="drop"):
    browser.driver.execute_script(DROP, base64.b64encode(data).decode(), how)
    wait_for(lambda: " s" in message(browser) and "×" in message(browser))


def test_a_picture_is_dropped_pasted_and_looked_at(browser, address, predictor, image, body, tmp_path):
    home = address()
    browser.open(home)
    wait_for(lambda: "bisenet" in browser.driver.find_element("id", "network").text)
    browser.picture(tmp_path / "empty.png")
    show(browser, body)
    browser.picture(tmp_path / "shown.png")

    expected = predictor(image)
    width, height, rgba = browser.driver.execute_script(COLOURS)
    rgba = np.array(rgba, np.uint8).reshape(height, width, 4)
    np.testing.assert_array_equal(rgba[..., :3], predictor.palette[expected])
    assert (rgba[..., 3] == 255).all()

    rows = [row.text.split("\n") for row in browser.driver.find_elements("css selector", "#legend li")]
    counts = np.bincount(expected.ravel())
    order = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    assert rows == [[f"class {index}", f"{100 * counts[index] / expected.size:.1f} %"] for index in order]

    # the middle of the canvas is enlarged to many screen pixels, so the pixel under the mouse is known
    from selenium.webdriver import ActionChains

    canvas = browser.driver.find_element("id", "picture")
    ActionChains(browser.driver).move_to_element_with_offset(canvas, 4, 4).perform()
    y, x = height // 2, width // 2
    said = browser.driver.find_element("id", "under").text
    assert f"at {x}, {y}" in said and said.startswith(f"class {expected[y, x]}\n")
    assert f"confidence {round(100 * float(predictor.confidence(image)[y, x]))} %" in said

    opacity = "const one = document.getElementById('opacity'); one.value = 20; one.dispatchEvent(new Event('input'));"
    browser.driver.execute_script(opacity)
    assert browser.driver.find_element("id", "colours").value_of_css_property("opacity") == "0.2"

    first = browser.driver.find_element("css selector", "#legend input")
    first.click()
    _, _, rgba = browser.driver.execute_script(COLOURS)
    shown = np.array(rgba, np.uint8).reshape(height, width, 4)[..., 3] > 0
    np.testing.assert_array_equal(shown, expected != order[0])

    show(browser, png(image[::-1, ::2]), "paste")
    assert browser.driver.execute_script(COLOURS)[:2] == [32, 48]
    browser.driver.execute_script(DROP, base64.b64encode(b"no picture").decode(), "drop")
    wait_for(lambda: "not a PNG, JPEG" in message(browser))
    assert browser.driver.find_element("id", "message").get_attribute("class") == "bad"
    browser.picture(tmp_path / "wrong.png", 500, 900)
    asked = browser.asked()
    assert asked and all(one.startswith(home + "/") for one in asked), asked
    assert [one for one in browser.complaints() if "415" not in one] == []


@pytest.mark.slow
def test_a_file_is_chosen_and_a_token_asked_for(browser, address, body, tmp_path):
    browser.open(address(token=TOKEN))
    wait_for(lambda: "token" in message(browser))
    browser.driver.find_element("id", "token").send_keys(TOKEN, "\n")
    wait_for(lambda: "bisenet" in browser.driver.find_element("id", "network").text)
    (tmp_path / "a.png").write_bytes(body)
    browser.driver.find_element("id", "file").send_keys(str(tmp_path / "a.png"))
    wait_for(lambda: "64 × 48" in message(browser))
    assert not browser.driver.find_element("id", "token").is_displayed()
