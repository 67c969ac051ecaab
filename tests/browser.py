"""A page in headless Chromium, driven as a person would: keys, pointer, and what is on it."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_CODES = {"Enter": 13, "Escape": 27, "PageUp": 33, "PageDown": 34, "End": 35, "Home": 36, "Tab": 9,
          "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}  # fmt: skip


class Browser:
    """Chromium with one page, which speaks over two pipes; a context manager."""

    def __init__(self, width=1440, height=1000):
        self._size = width, height

    def __enter__(self):
        (read_by, to), (back, written_by) = os.pipe(), os.pipe()

        def as_three_and_four():
            os.dup2(read_by, 103)
            os.dup2(written_by, 104)
            os.dup2(103, 3)
            os.dup2(104, 4)

        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--remote-debugging-pipe",
                f"--user-data-dir={self._folder.name}", "about:blank",
            ],
            preexec_fn=as_three_and_four, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read_by)
        os.close(written_by)
        self._to, self._back = os.fdopen(to, "wb"), os.fdopen(back, "rb")
        self._number, self._buffer, self._session = 0, b"", None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(*self._size)
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(20)
        self._to.close()
        self._back.close()
        self._folder.cleanup()

    def call(self, method, **parameters):
        """Call a method of the protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        while b"\0" not in self._buffer:
            more = os.read(self._back.fileno(), 1 << 20)
            assert more, "the browser has ended"
            self._buffer += more
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    def open(self, path):
        """Load a file, until all of it is there."""
        self.events.clear()
        self.call("Page.navigate", url=f"file://{path}")
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def run(self, code):
        """Return the value of an expression, of a promise when that is kept."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, code, seconds=20):
        """Wait until an expression is true."""
        for _ in range(seconds * 50):
            if self.run(code):
                return
            time.sleep(0.02)
        raise AssertionError(f"never came true: {code}")

    def press(self, key):
        """Press and release a key."""
        of = {"key": key, "code": key, "windowsVirtualKeyCode": _CODES[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **of, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **of)

    def point(self, x, y, *, click=False):
        """Move the pointer, and click there."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for what in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=what, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path):
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    @property
    def complaints(self):
        """What the console says, and whatever was not handled."""
        self.run("0")
        return [
            event for event in self.events
            if event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        ]  # fmt: skip

    @property
    def requests(self):
        """The addresses that the page asked for, those of itself left out."""
        self.run("0")
        asked = [
            event["params"]["request"]["url"]
            for event in self.events if event["method"] == "Network.requestWillBeSent"
        ]  # fmt: skip
        return [url for url in asked if not url.startswith(("file:", "data:"))]
