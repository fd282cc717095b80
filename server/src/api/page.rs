//! List envelopes and the parameters that select a part of a list.

use everwit_runtime::harness::ResourceStatus;
use everwit_runtime::limits::{DEFAULT_PAGE, MAX_PAGE};
use everwit_runtime::store::{Listing, Page, StoreResult};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::{FromParams, Params};

/// Largest number of skipped items: what the document's `int32` has.
const MAX_OFFSET: u64 = i32::MAX as u64;

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
    #[param(default = 0, maximum = 2147483647)]
    offset: Option<u32>,
    /// Items to return.
    #[param(default = 20, minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

impl FromParams for PageParams {
    fn from_params(params: &mut Params) -> Self {
        let mut number = |name, least, most| params.number(name, least, most).and_then(|value| u32::try_from(value).ok());
        Self { offset: number("offset", 0, MAX_OFFSET), limit: number("limit", 1, MAX_PAGE.into()) }
    }
}

impl From<PageParams> for Page {
    fn from(params: PageParams) -> Self {
        Self { offset: params.offset.unwrap_or(0), limit: params.limit.unwrap_or(DEFAULT_PAGE) }
    }
}

/// Which items of a list, by their texts.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Search {
    /// Only items whose names or descriptions contain this, whatever its case.
    search: Option<String>,
}

impl FromParams for Search {
    fn from_params(params: &mut Params) -> Self {
        let search: Option<String> = params.one("search", "a text");
        Self { search: search.filter(|text| !text.is_empty()).map(|text| text.to_lowercase()) }
    }
}

impl Search {
    /// Whether any of an item's texts has what is searched for.
    pub(crate) fn matches<'a>(&self, texts: impl IntoIterator<Item = Option<&'a str>>) -> bool {
        let Some(search) = &self.search else { return true };
        texts.into_iter().flatten().any(|text| text.to_lowercase().contains(search))
    }

    /// Whether every item matches.
    pub(crate) fn is_empty(&self) -> bool {
        self.search.is_none()
    }
}

/// Whether a list has what is archived.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Archived {
    /// Whether to list archived items too.
    #[param(default = false)]
    include_archived: Option<bool>,
}

impl FromParams for Archived {
    fn from_params(params: &mut Params) -> Self {
        Self { include_archived: params.one("include_archived", "true or false") }
    }
}

impl Archived {
    /// Whether an item of this status is listed.
    pub(crate) fn lists(&self, status: ResourceStatus) -> bool {
        status == ResourceStatus::Active || self.are_listed()
    }

    /// Whether every item is listed.
    pub(crate) fn are_listed(&self) -> bool {
        self.include_archived == Some(true)
    }
}

impl<A: FromParams, B: FromParams, C: FromParams> FromParams for (A, B, C) {
    fn from_params(params: &mut Params) -> Self {
        (A::from_params(params), B::from_params(params), C::from_params(params))
    }
}

impl<A: FromParams, B: FromParams> FromParams for (A, B) {
    fn from_params(params: &mut Params) -> Self {
        (A::from_params(params), B::from_params(params))
    }
}

/// A part of those items of a list that are wanted. Reads the whole list, page by page: lists of
/// an org are short compared to what a search by text would need an index for.
///
/// # Errors
/// Those of `read`.
pub(crate) async fn filtered<T, R>(page: Page, read: impl Fn(Page) -> R, wanted: impl Fn(&T) -> bool) -> StoreResult<Listing<T>>
where
    R: Future<Output = StoreResult<Listing<T>>>,
{
    let (mut items, mut total, mut offset) = (Vec::new(), 0_u64, 0);
    loop {
        let listing = read(Page { offset, limit: MAX_PAGE }).await?;
        let is_last = listing.items.len() < MAX_PAGE as usize;
        for item in listing.items.into_iter().filter(&wanted) {
            if total >= u64::from(page.offset) && items.len() < page.limit as usize {
                items.push(item);
            }
            total += 1;
        }
        if is_last {
            return Ok(Listing { items, total });
        }
        offset += MAX_PAGE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_filter_counts_and_cuts_what_is_wanted() {
        let read = |page: Page| async move {
            let end = 250.min(page.offset + page.limit);
            Ok(Listing { items: (page.offset.min(end)..end).collect::<Vec<u32>>(), total: 250 })
        };
        let even = filtered(Page { offset: 10, limit: 3 }, read, |number| number % 2 == 0).await.unwrap();
        assert_eq!((even.items, even.total), (vec![20, 22, 24], 125));
    }
}
