//! The component's exports, on top of the traits. A codec's functions are free functions in the
//! contract; the driver between them lives in the instance.

use core::any::Any;
use core::marker::PhantomData;
use std::cell::RefCell;

use super::{Access, Config, Description, Discover, Driver, Event, ExchangeToken, Framing, Head, HttpRequest, ModelInfo, Request, Sse};
use crate::Failure;
use crate::bindings::discovery::exports::everwit::driver::discovery;
use crate::bindings::driver::exports::everwit::driver::{codec, meta};
use crate::bindings::everwit::types::common;
use crate::bindings::token_exchange::exports::everwit::driver::token_exchange;
use crate::exports::report_panics;

type Answer<T> = core::result::Result<T, common::Failure>;

/// What the macro exports for a driver.
#[derive(Debug)]
pub struct Exported<D>(PhantomData<D>);

/// Compiles if the type is a driver.
pub const fn assert_driver<D: Driver>() {}

thread_local! {
    /// The driver of this instance's completion.
    static DRIVER: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

fn with<D: Driver, T>(f: impl FnOnce(&mut D) -> crate::Result<T>) -> Answer<T> {
    DRIVER
        .with_borrow_mut(|driver| {
            let driver = driver.as_mut().and_then(|driver| driver.downcast_mut::<D>());
            let driver = driver.ok_or_else(|| Failure::internal("no_completion", "begin was not called"))?;
            f(driver)
        })
        .map_err(Into::into)
}

impl<D: Driver> meta::Guest for Exported<D> {
    fn describe() -> Description {
        report_panics();
        D::describe()
    }
}

impl<D: Driver> codec::Guest for Exported<D> {
    fn begin(config: Config, request: Request) -> Answer<HttpRequest> {
        report_panics();
        DRIVER.set(Some(Box::new(D::default())));
        with::<D, _>(|driver| driver.begin(&config, &request))
    }

    fn on_head(head: Head) -> Answer<Framing> {
        with::<D, _>(|driver| driver.on_head(&head))
    }

    fn on_sse(frame: Sse) -> Answer<Vec<Event>> {
        with::<D, _>(|driver| driver.on_sse(&frame))
    }

    fn on_bytes(frame: Vec<u8>) -> Answer<Vec<Event>> {
        with::<D, _>(|driver| driver.on_bytes(&frame))
    }

    fn on_end() -> Answer<Vec<Event>> {
        with::<D, _>(D::on_end)
    }
}

impl<D: Discover> discovery::Guest for Exported<D> {
    fn begin(config: Config) -> Answer<HttpRequest> {
        report_panics();
        Ok(D::models_request(&config)?)
    }

    fn decode(status: u16, body: Vec<u8>) -> Answer<Vec<ModelInfo>> {
        Ok(D::models(status, &body)?)
    }
}

impl<D: ExchangeToken> token_exchange::Guest for Exported<D> {
    fn begin(config: Config) -> Answer<HttpRequest> {
        report_panics();
        Ok(D::token_request(&config)?)
    }

    fn decode(status: u16, body: Vec<u8>) -> Answer<Access> {
        Ok(D::token(status, &body)?)
    }
}

/// Copies a file that was included into a value, for a section.
pub const fn section<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut copy = [0; N];
    let mut at = 0;
    while at < N {
        copy[at] = bytes[at];
        at += 1;
    }
    copy
}
