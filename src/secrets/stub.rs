//! Stand-in while the engine is on its way.
#![allow(missing_docs, clippy::unused_self)]
use super::Finding;
use crate::net::Host;
use crate::reason::Reason;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub struct Guard;
pub struct HeadView<'a> {
    pub host: &'a Host,
    pub method: &'a str,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub fields: &'a [(&'a [u8], &'a [u8])],
    pub trailers: bool,
}
pub struct BodyContext<'a> {
    pub host: &'a Host,
    pub method: &'a str,
    pub path: &'a str,
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
}
#[derive(Debug, Default)]
pub struct BodyScan(VecDeque<Bytes>);
#[derive(Debug)]
pub struct Stopped {
    pub reason: Reason,
}
impl Guard {
    pub fn scan_head(&self, _: &HeadView<'_>) -> Vec<Finding> {
        vec![]
    }
    pub fn body(&self, _: &BodyContext<'_>) -> BodyScan {
        BodyScan::default()
    }
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        Cow::Borrowed(text)
    }
}
impl BodyScan {
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Stopped> {
        self.0.push_back(chunk);
        Ok(())
    }
    pub fn finish(&mut self) -> Result<(), Stopped> {
        Ok(())
    }
    pub fn released(&mut self) -> Option<Bytes> {
        self.0.pop_front()
    }
    pub fn take_findings(&mut self) -> Vec<Finding> {
        vec![]
    }
}
