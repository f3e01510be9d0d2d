//! Decodes answers within a limit of memory. A server may send what is short and becomes long: `[[],[],..]`.
//!
//! Of a list there is one copy of the answer, one object as JSON, and the objects as far as their type needs them. What no
//! reader needs and is long is left out while it is read.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
        Visitor,
    },
};
use serde_json::{Map, Value};

/// What a field of an object takes, besides its text, and what an element of a list takes; about.
const FIELD: usize = 32;
const ELEMENT: usize = 160;

/// Names of fields that are left out.
pub(crate) type LeftOut = &'static [&'static str];

/// What no reader of a list needs, and is long: who wrote what, and the images on a node.
pub(super) const LONG: LeftOut = &["images", "managedFields"];

/// How much memory may be taken.
#[derive(Debug)]
pub(super) struct Memory<'a> {
    pub(super) most: usize,
    pub(super) left: &'a mut usize,
}

impl Memory<'_> {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        let less = self.left.checked_sub(bytes).ok_or_else(|| {
            let most = self.most;
            E::custom(format!(
                "it takes more than {most} bytes of memory, which is the limit"
            ))
        })?;
        *self.left = less;
        Ok(())
    }

    fn reborrow(&mut self) -> Memory<'_> {
        Memory {
            most: self.most,
            left: &mut *self.left,
        }
    }
}

/// A page of a list, as it is sent.
#[derive(Debug)]
pub(super) struct Sent<T> {
    /// The token of the next page.
    pub(super) token: String,
    pub(super) items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default, rename = "continue")]
    token: Option<String>,
}

/// A page of a list.
pub(super) fn page<T: DeserializeOwned>(
    text: &[u8],
    left_out: LeftOut,
    memory: Memory<'_>,
) -> Result<Sent<T>, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let of = PhantomData;
    let page = Page {
        memory,
        left_out,
        of,
    };
    let page = page.deserialize(&mut json)?;
    json.end()?;
    Ok(page)
}

/// An object, or any other document.
pub(super) fn object<T: DeserializeOwned>(
    text: &[u8],
    memory: Memory<'_>,
) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = Json {
        memory,
        left_out: &[],
    };
    let value = value.deserialize(&mut json)?;
    json.end()?;
    serde_json::from_value(value.unwrap_or_default())
}

struct Page<'a, T> {
    memory: Memory<'a>,
    left_out: LeftOut,
    of: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Page<'_, T> {
    type Value = Sent<T>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Self::Value, D::Error> {
        decoder.deserialize_map(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Page<'_, T> {
    type Value = Sent<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut token, mut items) = (None, Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "metadata" => token = map.next_value::<Option<Meta>>()?.unwrap_or_default().token,
                "items" => {
                    items = map.next_value_seed(Items(Page {
                        memory: self.memory.reborrow(),
                        left_out: self.left_out,
                        of: PhantomData,
                    }))?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Sent {
            token: token.unwrap_or_default(),
            items,
        })
    }
}

/// The objects of a page.
struct Items<'a, T>(Page<'a, T>);

impl<'de, T: DeserializeOwned> DeserializeSeed<'de> for Items<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Self::Value, D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Items<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the objects of a list")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let Page {
            mut memory,
            left_out,
            ..
        } = self.0;
        let mut read = Vec::new();
        loop {
            let item = Json {
                memory: memory.reborrow(),
                left_out,
            };
            let Some(item) = items.next_element_seed(item)? else {
                return Ok(read);
            };
            // While the list grows there are two of it.
            memory.take::<A::Error>(2 * size_of::<T>())?;
            if read.len() == read.capacity() {
                // By a quarter; by itself it would become twice as long.
                read.reserve_exact((read.len() / 4).max(64));
            }
            let item = serde_json::from_value(item.unwrap_or_default());
            read.push(item.map_err(A::Error::custom)?);
        }
    }
}

/// Any JSON. For a decoder in Go `null` is an absent field, and API servers write it so: there is none here.
struct Json<'a> {
    memory: Memory<'a>,
    left_out: LeftOut,
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, decoder: D) -> Result<Self::Value, D::Error> {
        decoder.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Json<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_str<E: Error>(mut self, value: &str) -> Result<Self::Value, E> {
        self.memory.take::<E>(value.len())?;
        Ok(Some(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut read = Vec::new();
        loop {
            let item = Json {
                memory: self.memory.reborrow(),
                left_out: self.left_out,
            };
            let Some(item) = items.next_element_seed(item)? else {
                return Ok(Some(Value::Array(read)));
            };
            self.memory.take::<A::Error>(ELEMENT)?;
            read.push(item.unwrap_or_default());
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.left_out.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            self.memory.take::<A::Error>(FIELD + name.len())?;
            let value = map.next_value_seed(Json {
                memory: self.memory.reborrow(),
                left_out: self.left_out,
            })?;
            read.extend(value.map(|value| (name, value)));
        }
        Ok(Some(Value::Object(read)))
    }
}
