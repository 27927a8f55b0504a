"""driver.py: a browser by the W3C WebDriver protocol, spoken to chromedriver with the standard library alone."""
import base64
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import zlib

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # how the protocol marks an element in JSON


class Problem(Exception):
    pass


class Browser:
    """One headless Chromium with a window of its own. All requests and console messages of it can be asked for."""

    def __init__(self):
        self.chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        path = shutil.which("chromedriver")
        if not path or not self.chromium:
            raise Problem("needs chromium and chromium-driver (make deps-test)")
        self.process = subprocess.Popen([path, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        port = None
        for line in self.process.stdout:
            found = re.search(r"started successfully on port (\d+)", line)
            if found:
                port = found[1]
                break
        self.base = f"http://127.0.0.1:{port}"
        self.open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                     "--disable-background-networking", "--disable-component-update", "--window-size=1280,900"]
        options = {"binary": self.chromium, "args": arguments, "perfLoggingPrefs": {"enableNetwork": True}}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            session = self.ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        except Exception:
            self.process.terminate()
            raise
        self.base += "/session/" + session["sessionId"]
        self.cdp("Page.setInterceptFileChooserDialog", enabled=True)

    def close(self):
        try:
            self.ask("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait()

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with self.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise Problem(json.load(error)["value"]["message"].splitlines()[0]) from None

    def cdp(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def go(self, path):
        self.ask("POST", "/url", {"url": "file://" + os.path.abspath(path)})

    def js(self, code, *arguments):
        return self.ask("POST", "/execute/sync", {"script": code, "args": list(arguments)})

    def find(self, css, nth=0):
        found = self.ask("POST", "/elements", {"using": "css selector", "value": css})
        if len(found) <= nth:
            raise Problem(f"no {css} number {nth} on the page")
        return found[nth]

    def click(self, css, nth=0):
        self.ask("POST", f"/element/{self.find(css, nth)[ELEMENT]}/click", {})

    def press(self, words, nth=0):
        """Clicks the button or link with these words, as a user would: by a real pointer."""
        found = self.js("return [...document.querySelectorAll('button, a')].filter(e => e.checkVisibility() && e.textContent.trim() === arguments[0])", words)
        if len(found) <= nth:
            raise Problem(f"no '{words}' number {nth} to press")
        self.ask("POST", f"/element/{found[nth][ELEMENT]}/click", {})

    def type(self, css, text):
        self.ask("POST", f"/element/{self.find(css)[ELEMENT]}/value", {"text": text})

    def key(self, code):
        keys = [{"type": "keyDown", "value": code}, {"type": "keyUp", "value": code}]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": keys}]})

    def text(self, css, nth=0):
        return self.js("return arguments[0].textContent.trim()", self.find(css, nth))

    def visible(self, css, nth=0):
        return self.js("return arguments[0].checkVisibility()", self.find(css, nth))

    def width(self, pixels, height=900):
        self.cdp("Emulation.setDeviceMetricsOverride", width=pixels, height=height, deviceScaleFactor=1, mobile=pixels < 600)

    def prefer(self, **features):
        given = [{"name": "prefers-" + name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.cdp("Emulation.setEmulatedMedia", features=given)

    def shot(self):
        return base64.b64decode(self.ask("GET", "/screenshot"))

    def logs(self):
        """(messages of the console from warnings up, addresses that were asked for) since the last call."""
        said = [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]
        asked = []
        for entry in self.ask("POST", "/se/log", {"type": "performance"}):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return said, asked


def is_blank(png):
    """Whether a screenshot is of one colour, or nearly."""
    at, rows = 8, b""
    while at < len(png):
        n, kind = int.from_bytes(png[at:at + 4], "big"), png[at + 4:at + 8]
        if kind == b"IDAT":
            rows += png[at + 8:at + 8 + n]
        at += 12 + n
    return len(set(zlib.decompress(rows))) < 24
