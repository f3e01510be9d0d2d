//! A second reader of kubelet pages. It is slow and simple, and written from the description of the format, not from
//! the reader that it is compared with.
//!
//! The format is Prometheus text, version 0.0.4: a line has a name, labels in braces, a value and a time, separated by
//! blanks. A quoted value has the escapes `\\`, `\"` and `\n`. Like our reader, this one also accepts any number of
//! blanks, and a carriage return as a blank.
//!
//! It copies every line, treats every number as a string of digits, and looks up every name in a map. It shares only
//! the limits of the model with the scraper.

use std::collections::{BTreeMap, BTreeSet};

/// The last millisecond of the year 9999.
const LAST_MILLI: u64 = 253_402_300_799_999;

/// No node has more bytes: 256 TiB less two.
const MOST_BYTES: u64 = (1 << 48) - 2;

/// The name and the value of a label.
type Label = (Vec<u8>, Vec<u8>);

/// A number and its time in milliseconds. Without a time on the line, that of the scrape.
pub type Sample = (u64, u64);

/// Namespace, pod and container.
pub type Name = (String, String, String);

/// The numbers of one container; `None` is "not reported".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Nanoseconds of CPU.
    pub cpu: Option<Sample>,
    /// Bytes.
    pub memory: Option<Sample>,
    /// Milliseconds since the epoch.
    pub started: Option<u64>,
    /// Bytes.
    pub swap: Option<u64>,
    /// The quantities with two different samples.
    pub differ: BTreeSet<Quantity>,
}

/// The content of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The node's own numbers; it has no start.
    pub node: Numbers,
    /// Every container that has CPU or memory, good or bad.
    pub containers: BTreeMap<Name, Numbers>,
    /// Whether any number was accepted.
    pub is_of_use: bool,
}

/// The quantity of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Core-seconds.
    Cpu,
    /// Bytes of the working set.
    Memory,
    /// Seconds since the epoch.
    Start,
    /// Bytes.
    Swap,
}

struct Line {
    of_node: bool,
    quantity: Quantity,
    /// The text between the braces, if they are closed.
    labels: Option<Vec<u8>>,
    /// The words after the labels.
    words: Vec<Vec<u8>>,
}

/// Reads a page that was scraped at `asked_at`, in milliseconds.
pub fn read(page: &[u8], asked_at: u64) -> Page {
    let lines: Vec<Line> = page.split(|byte| *byte == b'\n').filter_map(line).collect();
    let mut out = Page::default();
    let mut left_out = BTreeSet::new();
    for line in lines.iter().filter(|line| !line.of_node) {
        let Some(text) = &line.labels else { continue };
        if matches!(line.quantity, Quantity::Swap | Quantity::Start) || is_of_the_pod(text) {
            continue;
        }
        match name(text) {
            Ok(name) => {
                out.containers.entry(name).or_default();
            }
            Err(pod) => left_out.extend(pod),
        }
    }
    out.containers
        .retain(|(namespace, pod, _), _| !left_out.contains(&(namespace.clone(), pod.clone())));
    for line in &lines {
        take(line, asked_at, &mut out);
    }
    out
}

/// Accepts the number of a line, if it is valid and the only one of its kind.
fn take(line: &Line, asked_at: u64, out: &mut Page) {
    let Some(labels) = &line.labels else { return };
    let numbers = if line.of_node {
        Some(&mut out.node)
    } else {
        let Ok(name) = name(labels) else { return };
        out.containers.get_mut(&name)
    };
    let Some(numbers) = numbers else { return };
    let (value, at) = match line.words.as_slice() {
        [value] => (value, None),
        [value, at] => (value, Some(at)),
        _ => return,
    };
    let at = match at.map(|at| time(at)) {
        None => asked_at,
        Some(Some(at)) => at,
        // The start of a container is a value. The time on its line is ignored, and so is that of swap.
        Some(None) if matches!(line.quantity, Quantity::Start | Quantity::Swap) => asked_at,
        Some(None) => return,
    };
    let taken = match line.quantity {
        Quantity::Cpu => {
            let cpu = whole(value, 9).map(|cpu| (cpu, at));
            numbers.put_sample(line, cpu, |numbers| &mut numbers.cpu)
        }
        Quantity::Memory => {
            let memory = bytes(value).map(|bytes| (bytes, at));
            numbers.put_sample(line, memory, |numbers| &mut numbers.memory)
        }
        Quantity::Start => {
            let start = whole(value, 3).filter(|start| *start <= LAST_MILLI);
            let is_first = numbers.started.is_none() && start.is_some();
            // Of two starts, the later one counts.
            numbers.started = numbers.started.max(start);
            is_first
        }
        Quantity::Swap => {
            let swap = bytes(value);
            let is_first = numbers.swap.is_none() && swap.is_some();
            numbers.swap = numbers.swap.or(swap);
            is_first
        }
    };
    out.is_of_use |= taken;
}

impl Numbers {
    /// Adds a sample of CPU or memory. If two differ, neither counts. A container then has neither CPU nor memory; the
    /// node lacks only this quantity.
    fn put_sample(
        &mut self,
        line: &Line,
        sample: Option<Sample>,
        slot: impl Fn(&mut Self) -> &mut Option<Sample>,
    ) -> bool {
        let Some(sample) = sample else { return false };
        if self.differ.contains(&line.quantity) {
            return false;
        }
        match *slot(self) {
            None => {
                *slot(self) = Some(sample);
                true
            }
            Some(stored) if stored == sample => false,
            Some(_) if line.of_node => {
                *slot(self) = None;
                self.differ.insert(line.quantity);
                false
            }
            Some(_) => {
                (self.cpu, self.memory) = (None, None);
                self.differ.extend([Quantity::Cpu, Quantity::Memory]);
                false
            }
        }
    }
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t' || byte == b'\r'
}

fn line(text: &[u8]) -> Option<Line> {
    let mut at = 0;
    let byte = |at: usize| text.get(at).copied();
    while byte(at).is_some_and(is_blank) {
        at += 1;
    }
    let mut name = Vec::new();
    while let Some(next) = byte(at)
        && next != b'{'
        && next != b' '
        && next != b'\t'
    {
        name.push(next);
        at += 1;
    }
    let (of_node, quantity) = match name.as_slice() {
        b"node_cpu_usage_seconds_total" => (true, Quantity::Cpu),
        b"node_memory_working_set_bytes" => (true, Quantity::Memory),
        b"node_swap_usage_bytes" => (true, Quantity::Swap),
        b"container_cpu_usage_seconds_total" => (false, Quantity::Cpu),
        b"container_memory_working_set_bytes" => (false, Quantity::Memory),
        b"container_start_time_seconds" => (false, Quantity::Start),
        b"container_swap_usage_bytes" => (false, Quantity::Swap),
        _ => return None,
    };
    while byte(at).is_some_and(is_blank) {
        at += 1;
    }
    let mut labels = Some(Vec::new());
    if byte(at) == Some(b'{') {
        // Values and times contain no brace, so the last brace closes the labels.
        let end = (at + 1..text.len())
            .rev()
            .find(|end| byte(*end) == Some(b'}'));
        labels = end.map(|end| {
            text.iter()
                .copied()
                .skip(at + 1)
                .take(end - at - 1)
                .collect()
        });
        at = end.map_or(text.len(), |end| end + 1);
    }
    let rest: Vec<u8> = text.iter().copied().skip(at).collect();
    let words = rest.split(|byte| is_blank(*byte));
    let words = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec);
    Some(Line {
        of_node,
        quantity,
        labels,
        words: words.collect(),
    })
}

/// The container that the labels name. Otherwise the pod that they name, if they do.
fn name(text: &[u8]) -> Result<Name, Option<(String, String)>> {
    let (labels, good) = labels(text);
    let all = |wanted: &str| -> Vec<&Vec<u8>> {
        let found = labels.iter().filter(|(name, _)| name == wanted.as_bytes());
        found.map(|(_, value)| value).collect()
    };
    let first = |wanted: &str| all(wanted).first().and_then(|value| as_name(wanted, value));
    let one = |wanted: &str| match all(wanted).as_slice() {
        [value] => as_name(wanted, value),
        _ => None,
    };
    let whole = || Some((one("namespace")?, one("pod")?, one("container")?));
    match whole().filter(|_| good) {
        Some(name) => Ok(name),
        None => Err(first("namespace").zip(first("pod"))),
    }
}

/// Whether all labels are readable and name a namespace, a pod, and one container with an empty name: the pod itself.
fn is_of_the_pod(text: &[u8]) -> bool {
    let (labels, good) = labels(text);
    let count = |wanted: &str| {
        let found = labels.iter().filter(|(name, _)| name == wanted.as_bytes());
        found.count()
    };
    let is_bare = |(name, value): &Label| name == b"container" && value.is_empty();
    let names = ["namespace", "pod", "container"];
    good && names.iter().all(|name| count(name) == 1) && labels.iter().any(is_bare)
}

/// The labels until the first unreadable one, and whether all are readable.
fn labels(text: &[u8]) -> (Vec<Label>, bool) {
    let mut found = Vec::new();
    let mut rest: Vec<u8> = text.to_vec();
    rest.reverse();
    let skip = |rest: &mut Vec<u8>| {
        while rest.last().copied().is_some_and(is_blank) {
            rest.pop();
        }
    };
    loop {
        skip(&mut rest);
        if rest.is_empty() {
            return (found, true);
        }
        let Some(label) = label(&mut rest) else {
            return (found, false);
        };
        found.push(label);
        skip(&mut rest);
        match rest.pop() {
            None => return (found, true),
            Some(b',') => {}
            Some(_) => {
                // A comma must follow a value. Otherwise the value is not valid.
                found.pop();
                return (found, false);
            }
        }
    }
}

fn label(rest: &mut Vec<u8>) -> Option<Label> {
    let mut name = Vec::new();
    loop {
        match rest.pop()? {
            b'=' => break,
            byte => name.push(byte),
        }
    }
    while name.last().copied().is_some_and(is_blank) {
        name.pop();
    }
    let mut letters = name.iter();
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_' || *byte == b':';
    if !letters.next().is_some_and(is_letter)
        || !letters.all(|byte| is_letter(byte) || byte.is_ascii_digit())
    {
        return None;
    }
    while rest.last().copied().is_some_and(is_blank) {
        rest.pop();
    }
    if rest.pop()? != b'"' {
        return None;
    }
    let mut value = Vec::new();
    loop {
        match rest.pop()? {
            b'"' => return Some((name, value)),
            b'\\' => match rest.pop()? {
                b'n' => value.push(b'\n'),
                byte @ (b'\\' | b'"') => value.push(byte),
                byte => value.extend([b'\\', byte]),
            },
            byte => value.push(byte),
        }
    }
}

/// The value of `label` as a name, if Kubernetes allows it. A pod's name is a DNS subdomain of at most 253 bytes, the
/// other two are DNS labels of at most 63.
fn as_name(label: &str, value: &[u8]) -> Option<String> {
    let text = String::from_utf8(value.to_vec()).ok()?;
    let (most, separator) = if label == "pod" {
        (253, Some('.'))
    } else {
        (63, None)
    };
    let is_part = |part: &str| {
        let is_outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(is_outer)
            && part.ends_with(is_outer)
            && part.chars().all(|c| is_outer(c) || c == '-')
    };
    let good = match separator {
        Some(separator) => text.split(separator).all(is_part),
        None => is_part(&text),
    };
    (good && text.len() <= most).then_some(text)
}

/// A number of bytes that a node may have.
fn bytes(text: &[u8]) -> Option<u64> {
    whole(text, 0).filter(|bytes| *bytes <= MOST_BYTES)
}

/// A number times ten to the power of `shift`, cut to an integer. `None` if it is not a decimal number from 0
/// to below the largest that 64 bits hold.
fn whole(text: &[u8], shift: i64) -> Option<u64> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, Some(power)),
        None => (text, None),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let are_digits = |text: &str| text.chars().all(|digit| digit.is_ascii_digit());
    if (before.is_empty() && after.is_empty()) || !are_digits(before) || !are_digits(after) {
        return None;
    }
    let power = match power {
        None => 0,
        Some(power) => {
            let minus = power.starts_with('-');
            let power = power.strip_prefix(['-', '+']).unwrap_or(power);
            if power.is_empty() || !are_digits(power) {
                return None;
            }
            let power = power.trim_start_matches('0');
            // This exceeds any number of digits on a page.
            let size = if power.len() > 9 {
                1_000_000_000
            } else {
                power.parse().unwrap_or(0_i64)
            };
            if minus { -size } else { size }
        }
    };
    let digits: String = format!("{before}{after}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return Some(0);
    }
    if negative {
        return None;
    }
    // Nineteen digits count, which is more than a float has.
    let point =
        i64::try_from(digits.len()).ok()? - i64::try_from(after.len()).ok()? + power + shift;
    let kept: String = digits.chars().take(19).collect();
    if point <= 0 {
        return Some(0);
    }
    if point > 20 {
        return None;
    }
    let mut number = 0_u128;
    let mut digits = kept.chars();
    for _ in 0..point {
        let digit = digits.next().and_then(|digit| digit.to_digit(10));
        number = number * 10 + u128::from(digit.unwrap_or(0));
    }
    u64::try_from(number)
        .ok()
        .filter(|number| *number != u64::MAX)
}

/// A time in milliseconds: only digits, until the year 9999.
fn time(text: &[u8]) -> Option<u64> {
    let text = String::from_utf8(text.to_vec()).ok()?;
    if text.is_empty() || !text.chars().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    if digits.len() > 18 {
        return None;
    }
    let millis: u64 = if digits.is_empty() {
        0
    } else {
        digits.parse().ok()?
    };
    (millis <= LAST_MILLI).then_some(millis)
}
