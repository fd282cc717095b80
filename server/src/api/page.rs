//! List envelopes and the parameters that select a part of a list.

use everwit_runtime::limits::{DEFAULT_PAGE, MAX_PAGE};
use everwit_runtime::store::{Listing, Page};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{FromParams, Params};

/// A part of a list, in order of creation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items.
    pub(crate) data: Vec<T>,
    /// How many items there are in all.
    pub(crate) total: u64,
    /// Items that were skipped.
    pub(crate) offset: u64,
    /// Most items that this answer could have.
    pub(crate) limit: u64,
}

impl<T> List<T> {
    /// The envelope of what a store listed.
    pub(crate) fn new<S>(listing: Listing<S>, page: Page, item: impl FnMut(S) -> T) -> Self {
        Self {
            data: listing.items.into_iter().map(item).collect(),
            total: listing.total,
            offset: page.offset.into(),
            limit: page.limit.into(),
        }
    }
}

/// Which part of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// Items to skip.
    #[param(default = 0)]
    offset: Option<u32>,
    /// Items to return.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl FromParams for PageParams {
    fn from_params(params: &mut Params) -> Self {
        let mut number = |name, least, most| params.number(name, least, most).and_then(|value| u32::try_from(value).ok());
        Self { offset: number("offset", 0, u32::MAX.into()), limit: number("limit", 1, MAX_PAGE.into()) }
    }
}

impl From<PageParams> for Page {
    fn from(params: PageParams) -> Self {
        Self { offset: params.offset.unwrap_or(0), limit: params.limit.unwrap_or(DEFAULT_PAGE) }
    }
}
