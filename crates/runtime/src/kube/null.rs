//! Decodes `null` as Go does.
//!
//! For a decoder in Go, `null` leaves the zero value. So proxies, and unusual API servers, write it
//! for absent fields, and no client in Go fails. serde fails wherever the type is not an `Option`,
//! and one such field would hide a whole list. So every response of the Kubernetes API is decoded
//! by [`from_json`], and no type has to handle `null` itself.

use std::{fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
};

/// Decodes JSON in which `null` stands for the zero value of the expected type: an empty string,
/// list or object, 0, `false`, `None`. Strings may be borrowed.
///
/// # Errors
///
/// It is not JSON, or not of this type.
pub fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_str(json);
    let read = T::deserialize(Reader(&mut json))?;
    json.end()?;
    Ok(read)
}

/// A deserializer that accepts `null` for any type.
struct Reader<D>(D);

/// The expected type.
#[derive(Clone, Copy)]
enum ExpectedType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    Char,
    Str,
    String,
    Bytes,
    ByteBuf,
    Seq,
    Tuple(usize),
    TupleStruct(&'static str, usize),
    Map,
    Struct(&'static str, &'static [&'static str]),
}

impl ExpectedType {
    /// Deserializes a value that is not `null`.
    fn read<'de, D: Deserializer<'de>, V: Visitor<'de>>(
        self,
        from: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        match self {
            Self::Bool => from.deserialize_bool(visitor),
            Self::I8 => from.deserialize_i8(visitor),
            Self::I16 => from.deserialize_i16(visitor),
            Self::I32 => from.deserialize_i32(visitor),
            Self::I64 => from.deserialize_i64(visitor),
            Self::U8 => from.deserialize_u8(visitor),
            Self::U16 => from.deserialize_u16(visitor),
            Self::U32 => from.deserialize_u32(visitor),
            Self::U64 => from.deserialize_u64(visitor),
            Self::F32 => from.deserialize_f32(visitor),
            Self::F64 => from.deserialize_f64(visitor),
            Self::Char => from.deserialize_char(visitor),
            Self::Str => from.deserialize_str(visitor),
            Self::String => from.deserialize_string(visitor),
            Self::Bytes => from.deserialize_bytes(visitor),
            Self::ByteBuf => from.deserialize_byte_buf(visitor),
            Self::Seq => from.deserialize_seq(visitor),
            Self::Tuple(len) => from.deserialize_tuple(len, visitor),
            Self::TupleStruct(name, len) => from.deserialize_tuple_struct(name, len, visitor),
            Self::Map => from.deserialize_map(visitor),
            Self::Struct(name, fields) => from.deserialize_struct(name, fields, visitor),
        }
    }

    /// Its zero value.
    fn zero<'de, V: Visitor<'de>, E: Error>(self, visitor: V) -> Result<V::Value, E> {
        match self {
            Self::Bool => visitor.visit_bool(false),
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => visitor.visit_i64(0),
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => visitor.visit_u64(0),
            Self::F32 | Self::F64 => visitor.visit_f64(0.0),
            Self::Char => visitor.visit_char('\0'),
            Self::Str | Self::String => visitor.visit_borrowed_str(""),
            Self::Bytes | Self::ByteBuf => visitor.visit_borrowed_bytes(&[]),
            Self::Seq | Self::Tuple(_) | Self::TupleStruct(..) => {
                visitor.visit_seq(SeqDeserializer::new(iter::empty::<()>()))
            }
            Self::Map | Self::Struct(..) => {
                visitor.visit_map(MapDeserializer::new(iter::empty::<((), ())>()))
            }
        }
    }
}

macro_rules! or_zero {
    ($($method:ident => $expected:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.or_zero(ExpectedType::$expected, visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Reader<D> {
    fn or_zero<V: Visitor<'de>>(
        self,
        expected: ExpectedType,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Inner {
            expected: Some(expected),
            visitor,
        })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Reader<D> {
    type Error = D::Error;

    or_zero! {
        deserialize_bool => Bool,
        deserialize_i8 => I8,
        deserialize_i16 => I16,
        deserialize_i32 => I32,
        deserialize_i64 => I64,
        deserialize_u8 => U8,
        deserialize_u16 => U16,
        deserialize_u32 => U32,
        deserialize_u64 => U64,
        deserialize_f32 => F32,
        deserialize_f64 => F64,
        deserialize_char => Char,
        deserialize_str => Str,
        deserialize_string => String,
        deserialize_bytes => Bytes,
        deserialize_byte_buf => ByteBuf,
        deserialize_seq => Seq,
        deserialize_map => Map,
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.or_zero(ExpectedType::Tuple(len), visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.or_zero(ExpectedType::TupleStruct(name, len), visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.or_zero(ExpectedType::Struct(name, fields), visitor)
    }

    // Callers of these handle `null` themselves, or request a type without a zero value.

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Inner::as_it_is(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Inner::as_it_is(visitor))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Inner::as_it_is(visitor);
        self.0.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_identifier(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.0.is_human_readable()
    }
}

/// A visitor that reads nested values with [`Reader`]. If a type is expected, an absent value is its
/// zero value.
struct Inner<V> {
    expected: Option<ExpectedType>,
    visitor: V,
}

impl<V> Inner<V> {
    fn as_it_is(visitor: V) -> Self {
        Self {
            expected: None,
            visitor,
        }
    }
}

macro_rules! handed_on {
    ($($method:ident($type:ty),)*) => {$(
        fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.visitor.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Inner<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    handed_on! {
        visit_bool(bool),
        visit_i64(i64),
        visit_i128(i128),
        visit_u64(u64),
        visit_u128(u128),
        visit_f64(f64),
        visit_str(&str),
        visit_borrowed_str(&'de str),
        visit_string(String),
        visit_bytes(&[u8]),
        visit_borrowed_bytes(&'de [u8]),
        visit_byte_buf(Vec<u8>),
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        match self.expected {
            Some(expected) => expected.zero(self.visitor),
            None => self.visitor.visit_none(),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.expected {
            Some(expected) => expected.zero(self.visitor),
            None => self.visitor.visit_unit(),
        }
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        match self.expected {
            Some(expected) => expected.read(from, Self::as_it_is(self.visitor)),
            None => self.visitor.visit_some(Reader(from)),
        }
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, from: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_newtype_struct(Reader(from))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inside: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Inside(inside))
    }

    fn visit_map<A: MapAccess<'de>>(self, inside: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Inside(inside))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inside: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(inside)
    }
}

/// The elements of a list, or the entries of an object.
struct Inside<A>(A);

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

struct Seed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Reader(from))
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, collections::BTreeMap};

    use k8s_openapi::api::{coordination::v1::LeaseSpec, core::v1::PodSpec};

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct All<'a> {
        flag: bool,
        small: i8,
        large: i64,
        byte: u8,
        port: u16,
        count: u64,
        part: f64,
        letter: char,
        #[serde(borrow)]
        text: Cow<'a, str>,
        owned: String,
        list: Vec<u32>,
        pair: (),
        labels: BTreeMap<String, String>,
        maybe: Option<String>,
        own: Own,
        wrapped: Wrapped,
        below: Vec<Own>,
        either: Vec<Either>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Own {
        name: String,
        maybe: Option<Box<Own>>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Wrapped(String);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Other(Option<u8>),
    }

    #[test]
    fn null_stands_for_the_zero_value_of_anything() {
        let fields = [
            "flag", "small", "large", "byte", "port", "count", "part", "letter", "text", "owned",
            "list", "pair", "labels", "maybe", "own", "wrapped", "below", "either",
        ];
        for field in fields {
            let json = format!(r#"{{"{field}":null}}"#);
            let read: All<'_> = from_json(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(read, All::default(), "{json}");
        }
        assert_eq!(from_json::<All<'_>>("null").unwrap(), All::default());
    }

    #[test]
    fn null_stands_for_it_at_any_depth() {
        let json = r#"{"labels":{"a":null,"b":"c"},"list":[null,7],"wrapped":null,
            "below":[null,{"name":null,"maybe":{"name":"x","maybe":null}}],
            "either":["x",null,3]}"#;
        let read: All<'_> = from_json(json).unwrap();
        let labels = [("a", ""), ("b", "c")].map(|(key, value)| (key.into(), value.into()));
        assert_eq!(read.labels, BTreeMap::from(labels));
        assert_eq!(read.list, [0, 7]);
        let inner = Own {
            name: "x".to_owned(),
            maybe: None,
        };
        let second = Own {
            name: String::new(),
            maybe: Some(Box::new(inner)),
        };
        assert_eq!(read.below, [Own::default(), second]);
        let either = [
            Either::Text("x".to_owned()),
            Either::Other(None),
            Either::Other(Some(3)),
        ];
        assert_eq!(read.either, either);
    }

    #[test]
    fn what_is_there_is_read_as_ever() {
        let json = r#"{"flag":true,"small":-3,"large":-9,"byte":255,"port":443,"count":7,
            "part":0.5,"letter":"x","text":"plain","owned":"a\nb","list":[1],"maybe":"m",
            "wrapped":"w","unknown":{"a":[null]}}"#;
        let read: All<'_> = from_json(json).unwrap();
        assert!(matches!(read.text, Cow::Borrowed("plain")));
        let expected = All {
            flag: true,
            small: -3,
            large: -9,
            byte: 255,
            port: 443,
            count: 7,
            part: 0.5,
            letter: 'x',
            text: "plain".into(),
            owned: "a\nb".to_owned(),
            list: vec![1],
            maybe: Some("m".to_owned()),
            wrapped: Wrapped("w".to_owned()),
            ..All::default()
        };
        assert_eq!(read, expected);
        for wrong in [
            r#"{"flag":1}"#,
            r#"{"byte":256}"#,
            r#"{"list":{}}"#,
            "{",
            "{}x",
            "[]x",
        ] {
            assert!(from_json::<All<'_>>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn types_of_kubernetes_are_read_so_too() {
        let json = r#"{"holderIdentity":null,"leaseDurationSeconds":null,"renewTime":null}"#;
        assert_eq!(from_json::<LeaseSpec>(json).unwrap(), LeaseSpec::default());
        let json = r#"{"nodeName":null,"nodeSelector":{"a":null},
            "containers":[{"name":null,"resources":{"limits":null}},null]}"#;
        let spec: PodSpec = from_json(json).unwrap();
        assert_eq!(spec.node_name, None);
        assert_eq!(spec.containers.len(), 2);
        assert_eq!(spec.node_selector.unwrap()["a"], "");
    }
}
