//! The memory that a message needs when it is decoded, computed without decoding it.
//!
//! A pod of two bytes on the wire has 72 in memory, so a message of 4 MiB can need 150 MiB. This
//! module walks over the fields, which needs no memory. A message with more parts than the schema
//! allows is not decoded.

use tributary_model::Roster;
use tributary_proto::{limits::SHARE_NODES, v1};

/// The memory of a string besides its bytes: its header, and the rounding of the allocator.
const STRING: usize = size_of::<String>() + 16;

/// The field of a reading that has the names of pods.
const UNREADABLE: u64 = 17;

/// The size of a message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Weighed<'a> {
    /// Its node, if it has one.
    pub(super) node: &'a [u8],
    /// Bytes in memory, or on the wire if that is more.
    pub(super) bytes: usize,
    pods: usize,
    containers: usize,
    columns: [usize; 10],
    listed: usize,
}

/// A message has too many parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooMany {
    /// Pods or containers in a roster.
    #[error("{0} {1} in a roster, allowed are {max}", max = Roster::MAX_CONTAINERS)]
    Containers(usize, &'static str),
    /// Entries in the columns of a reading.
    #[error("{0} entries in a column, allowed are {max}", max = Roster::MAX_CONTAINERS)]
    Entries(usize),
    /// Nodes in a message about roles.
    #[error("{0} nodes in a share, allowed are {SHARE_NODES}")]
    Nodes(usize),
}

/// It is not protobuf, or not as the schema allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no message of bus v1")]
pub(super) struct Malformed;

impl TooMany {
    /// The label of the metric.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Containers(..) | Self::Entries(_) => "containers",
            Self::Nodes(_) => "share",
        }
    }
}

impl Weighed<'_> {
    /// The first limit that the message exceeds.
    pub(super) fn too_many(&self) -> Option<TooMany> {
        let max = Roster::MAX_CONTAINERS;
        if self.containers > max {
            return Some(TooMany::Containers(self.containers, "containers"));
        }
        // Each has a container, or the roster breaks a rule anyway.
        if self.pods > max {
            return Some(TooMany::Containers(self.pods, "pods"));
        }
        let entries = self.columns.iter().copied().max().unwrap_or_default();
        if entries > max {
            return Some(TooMany::Entries(entries));
        }
        (self.listed > SHARE_NODES).then_some(TooMany::Nodes(self.listed))
    }
}

/// Walks over a `PublishRequest`. If a field occurs twice, both count.
///
/// # Errors
///
/// It is malformed.
pub(super) fn weigh(message: &[u8]) -> Result<Weighed<'_>, Malformed> {
    let mut weighed = Weighed::default();
    let mut memory = 0;
    for field in Fields(message) {
        let Field { number, value } = field?;
        memory += match (number, value) {
            (2, Value::Bytes(roster)) => weighed.roster(roster)?,
            (3, Value::Bytes(reading)) => weighed.reading(reading)?,
            (7, Value::Bytes(share)) => weighed.share(share)?,
            (4, Value::Bytes(failure)) => {
                weighed.node = first(failure)?;
                failure.len()
            }
            _ => 0,
        };
    }
    weighed.bytes = memory.max(message.len());
    Ok(weighed)
}

impl<'a> Weighed<'a> {
    fn roster(&mut self, roster: &'a [u8]) -> Result<usize, Malformed> {
        let mut memory = 0;
        for field in Fields(roster) {
            match field? {
                Field {
                    number: 1,
                    value: Value::Bytes(node),
                } => self.node = node,
                Field {
                    number: 3,
                    value: Value::Bytes(pod),
                } => {
                    self.pods += 1;
                    memory += size_of::<v1::roster::Pod>() + self.pod(pod)?;
                }
                _ => {}
            }
        }
        Ok(memory)
    }

    fn pod(&mut self, pod: &[u8]) -> Result<usize, Malformed> {
        let mut memory = 0;
        for field in Fields(pod) {
            match field? {
                Field {
                    number: 1 | 2,
                    value: Value::Bytes(name),
                } => memory += name.len(),
                Field {
                    number: 3,
                    value: Value::Bytes(name),
                } => {
                    self.containers += 1;
                    memory += STRING + name.len();
                }
                _ => {}
            }
        }
        Ok(memory)
    }

    fn reading(&mut self, reading: &'a [u8]) -> Result<usize, Malformed> {
        let mut memory = 0;
        for field in Fields(reading) {
            let Field { number, value } = field?;
            let entries = match (number, value) {
                (1, Value::Bytes(node)) => {
                    self.node = node;
                    continue;
                }
                (UNREADABLE, Value::Bytes(pod)) => {
                    self.pods += 1;
                    memory += size_of::<v1::reading::PodName>() + pod.len();
                    continue;
                }
                // Each number ends with a byte below 0x80.
                (6.., Value::Bytes(packed)) => packed.iter().filter(|byte| **byte < 0x80).count(),
                (6.., Value::Number) => 1,
                _ => continue,
            };
            let column = usize::try_from(number - 6).unwrap_or(usize::MAX);
            if let Some(column) = self.columns.get_mut(column) {
                *column += entries;
                memory += entries * size_of::<u64>();
            }
        }
        Ok(memory)
    }

    fn share(&mut self, share: &'a [u8]) -> Result<usize, Malformed> {
        let mut memory = 0;
        for field in Fields(share) {
            if let Field {
                number: 2,
                value: Value::Bytes(node),
            } = field?
            {
                self.listed += 1;
                memory += STRING + node.len();
            }
        }
        Ok(memory)
    }
}

/// The string in field 1.
fn first(message: &[u8]) -> Result<&[u8], Malformed> {
    let mut text = &[][..];
    for field in Fields(message) {
        if let Field {
            number: 1,
            value: Value::Bytes(bytes),
        } = field?
        {
            text = bytes;
        }
    }
    Ok(text)
}

/// A field of a message.
struct Field<'a> {
    number: u64,
    value: Value<'a>,
}

enum Value<'a> {
    /// A number of any size.
    Number,
    /// A string, a message or a packed column.
    Bytes(&'a [u8]),
}

/// Walks over the fields of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => self.varint().map(|_| Value::Number)?,
            1 => self.skip(8).map(|_| Value::Number)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| Value::Number)?,
            // Groups, which no field of the schema is.
            _ => return None,
        };
        let number = key >> 3;
        Some(Field { number, value })
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn skip(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests;
