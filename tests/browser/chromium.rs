//! Chromium without a window, driven over two pipes by the protocol of its developer tools.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long the page may take to show something.
const WAIT: Duration = Duration::from_secs(40);

/// The shell gives Chromium the descriptors 3 and 4 that it reads and writes.
const START: &str = r#"exec chromium "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

/// A browser with one page.
pub(crate) struct Chromium {
    _process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    last: u64,
    session: Option<String>,
    /// Exceptions, and what the security policy refused.
    pub(crate) complaints: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Chromium {
    /// Starts it with an empty page of this size.
    pub(crate) async fn start((width, height): (u32, u32)) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new("sh")
            .args(["-c", START, "chromium", "--headless=new", "--no-sandbox"])
            .args(["--remote-debugging-pipe", "--disable-gpu", "--no-first-run"])
            // /dev/shm may be small in a container.
            .args(["--disable-dev-shm-usage", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut browser = Self {
            to: process.stdin.take().unwrap(),
            from: BufReader::new(process.stdout.take().unwrap()),
            _process: process,
            last: 0,
            session: None,
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser
            .call("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime.enable", "Log.enable", "Page.enable"] {
            browser.call(domain, json!({})).await;
        }
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser
            .call("Emulation.setDeviceMetricsOverride", size)
            .await;
        browser
    }

    async fn call(&mut self, method: &str, params: Value) -> Value {
        let called = timeout(PATIENCE, self.exchange(method, params)).await;
        called.unwrap_or_else(|_| panic!("Chromium does not answer {method}"))
    }

    async fn exchange(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut request = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            request["sessionId"] = json!(session);
        }
        let mut request = request.to_string().into_bytes();
        request.push(0);
        self.to.write_all(&request).await.unwrap();
        loop {
            let mut answer = Vec::new();
            let read = self.from.read_until(0, &mut answer).await.unwrap();
            assert!(read > 0, "Chromium has ended; is it installed?");
            answer.pop();
            let mut answer: Value = serde_json::from_slice(&answer).unwrap();
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let is_exception = event["method"] == "Runtime.exceptionThrown";
        let source = &event["params"]["entry"]["source"];
        if is_exception || source == "security" || source == "javascript" {
            self.complaints.push(event["params"].to_string());
        }
    }

    /// Opens an address.
    pub(crate) async fn open(&mut self, address: &str) {
        self.call("Page.navigate", json!({ "url": address })).await;
    }

    /// The value of an expression of JavaScript.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", params).await;
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise((done) => {{ \
               const end = performance.now() + {}; \
               const look = () => {{ \
                 let is = false; \
                 try {{ is = Boolean({expression}); }} catch {{ }} \
                 if (is || performance.now() > end) done(is); else setTimeout(look, 50); \
               }}; \
               look(); \
             }})",
            WAIT.as_millis()
        );
        if self.value(&wait).await != true {
            let page = self.value("document.body.innerText").await;
            panic!("never true: {expression}; {page}; {:?}", self.complaints);
        }
    }

    /// Presses and releases a key.
    pub(crate) async fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = (kind == "keyDown" && key.len() == 1).then_some(key);
            let params = json!({ "type": kind, "key": key, "text": text.unwrap_or_default() });
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// Clicks in the middle of an element.
    pub(crate) async fn click(&mut self, selector: &str) {
        let at = format!(
            "(() => {{ const box = document.querySelector({selector:?}).getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let at = self.value(&at).await;
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let params =
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", params).await;
        }
    }

    /// Light or dark, as the system of the user would say.
    pub(crate) async fn scheme(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let params = json!({ "features": features });
        self.call("Emulation.setEmulatedMedia", params).await;
    }

    /// Writes a picture of the page as PNG.
    pub(crate) async fn picture(&mut self, path: &Path) {
        let shot = self
            .call("Page.captureScreenshot", json!({ "format": "png" }))
            .await;
        let bytes = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            shot["data"].as_str().unwrap(),
        );
        std::fs::write(path, bytes.unwrap()).unwrap();
    }
}
