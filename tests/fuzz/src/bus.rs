//! Messages of the bus, as a publisher may send them.
//!
//! - An accepted message is unchanged after it is sent again.
//! - The length of the message limits the memory.

use prost::Message as _;
use tributary_proto::{
    convert::{
        WireRoster, failure_text, node_name, reading_from_wire, reading_to_wire, roster_from_wire,
        roster_to_wire, short_name,
    },
    v1::{self, publish_request::Message},
};

use crate::memory;

/// The memory for each byte of a decoded message, and in addition to that.
const BYTES_PER_BYTE: usize = 64;
const BYTES_BESIDE: usize = 64 << 10;

/// Reads messages, each with a length of two bytes before it.
pub fn check(data: &[u8]) {
    let mut rest = data;
    let mut roster: Option<WireRoster> = None;
    while let [high, low, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (message, after) = after.split_at(len);
        rest = after;
        let ((), peak) = memory::peak(|| receive(message, &mut roster));
        let most = message.len() * BYTES_PER_BYTE + BYTES_BESIDE;
        assert!(
            peak <= most,
            "{peak} bytes for a message of {}",
            message.len()
        );
    }
}

fn receive(message: &[u8], stored: &mut Option<WireRoster>) {
    let Ok(request) = v1::PublishRequest::decode(message) else {
        return;
    };
    match request.message {
        Some(Message::Roster(message)) => {
            let Ok((node, received)) = roster_from_wire(&message) else {
                return;
            };
            let again = roster_from_wire(&roster_to_wire(&node, &received.roster, 1));
            assert!(
                again.is_ok_and(|(name, again)| name == node && again.roster == received.roster),
                "a roster is another one after it is sent again"
            );
            *stored = Some(received);
        }
        Some(Message::Reading(message)) => {
            let Some(roster) = stored else { return };
            let Ok(reading) = reading_from_wire(&message, roster) else {
                return;
            };
            let same_order = WireRoster {
                rows: None,
                ..roster.clone()
            };
            let again = reading_from_wire(&reading_to_wire(&reading, 1), &same_order);
            assert_eq!(again.as_ref(), Ok(&reading));
        }
        Some(Message::ScrapeFailure(failure)) => {
            drop(node_name(&failure.node));
            let text = failure_text(failure.message);
            assert!(text.len() <= tributary_proto::limits::FAILURE_TEXT);
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        Some(Message::Hello(hello)) => {
            drop(short_name("source", hello.source));
        }
        _ => {}
    }
}
