//! Two small encodings: base64, and a stable hash of names.

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 with padding, as kubeconfig files and CA bundles hold it (RFC 4648 part 4).
pub(crate) fn base64(data: &[u8]) -> String {
    let mut text = encode(data, STANDARD);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Base64 for tokens: URL-safe, without padding (RFC 4648 part 5).
pub(crate) fn base64_url(data: &[u8]) -> String {
    encode(data, URL_SAFE)
}

/// The inverse of [`base64_url`]. `None` for other text.
pub(crate) fn base64_url_decode(text: &str) -> Option<Vec<u8>> {
    let mut data = Vec::with_capacity(text.len());
    let (mut bits, mut stored) = (0_u32, 0_u32);
    for byte in text.bytes() {
        let digit = URL_SAFE.iter().position(|known| *known == byte)?;
        bits = (bits << 6) | u32::try_from(digit).ok()?;
        stored += 6;
        if stored >= 8 {
            stored -= 8;
            data.push(u8::try_from((bits >> stored) & 0xff).ok()?);
            bits &= (1 << stored) - 1;
        }
    }
    Some(data)
}

fn encode(data: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(data.len().div_ceil(3) * 4);
    for chunk in data.chunks(3) {
        let mut bits = 0_u32;
        for place in 0..3 {
            bits = (bits << 8) | u32::from(chunk.get(place).copied().unwrap_or(0));
        }
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let found = usize::try_from(index)
                .ok()
                .and_then(|index| alphabet.get(index));
            text.push(char::from(found.copied().unwrap_or(b'A')));
        }
    }
    text
}

/// A hash that is the same on every machine and in every run (FNV-1a, 64 bits, finished with a multiply-xor so that
/// the low bits of similar names differ).
pub(crate) fn hash(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// An identifier in the form of a UUID, made from names so that it is the same in every run.
pub(crate) fn uid(parts: &[&str]) -> String {
    let (high, low) = (hash(parts), hash(&[parts, &["uid"]].concat()));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_agrees_with_the_vectors_of_rfc_4648() {
        for (data, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(data.as_bytes()), text);
            assert_eq!(
                base64_url_decode(text.trim_end_matches('=')).unwrap(),
                data.as_bytes()
            );
        }
        assert_eq!(base64_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(base64_url_decode("a b"), None);
    }

    #[test]
    fn a_uid_looks_like_a_uuid_and_follows_from_the_names() {
        let uid = uid(&["pod", "shop", "web-0"]);
        assert_eq!(uid.len(), 36);
        assert_eq!(uid, super::uid(&["pod", "shop", "web-0"]));
        assert_ne!(uid, super::uid(&["pod", "shop", "web-1"]));
    }
}
