//! Resources of a server, which is one way in which servers are alike: pages of a list, templates, and one that is read.

use rmcp::ErrorData;
use rmcp::model::{ListResourcesResult, ReadResourceResult, ResourceTemplate};

/// What a server has to show under URIs. [`answer_resources!`](crate::answer_resources) in its `impl ServerHandler` answers
/// `resources/list`, `resources/templates/list` and `resources/read` with it; `get_info` still has to declare resources.
pub trait Resources {
    /// Its templates, all of them: the kit makes pages.
    fn templates(&self) -> Vec<ResourceTemplate>;

    /// One page of the list. There may be more than fit into memory, so pages are the server's: see [`crate::cursor`].
    fn list(
        &self,
        cursor: Option<&str>,
    ) -> impl Future<Output = Result<ListResourcesResult, ErrorData>> + Send;

    /// One of them, whole.
    fn read(&self, uri: &str) -> impl Future<Output = Result<ReadResourceResult, ErrorData>> + Send;
}

/// The three methods of a `ServerHandler` that are about resources, answered by its [`Resources`](crate::Resources).
#[macro_export]
macro_rules! answer_resources {
    () => {
        async fn list_resources(
            &self,
            request: ::std::option::Option<::rmcp::model::PaginatedRequestParams>,
            _: ::rmcp::service::RequestContext<::rmcp::RoleServer>,
        ) -> ::std::result::Result<::rmcp::model::ListResourcesResult, ::rmcp::ErrorData> {
            let cursor = request.and_then(|request| request.cursor);
            $crate::Resources::list(self, cursor.as_deref()).await
        }

        async fn list_resource_templates(
            &self,
            _: ::std::option::Option<::rmcp::model::PaginatedRequestParams>,
            _: ::rmcp::service::RequestContext<::rmcp::RoleServer>,
        ) -> ::std::result::Result<::rmcp::model::ListResourceTemplatesResult, ::rmcp::ErrorData> {
            let templates = $crate::Resources::templates(self);
            Ok(::rmcp::model::ListResourceTemplatesResult::with_all_items(templates))
        }

        async fn read_resource(
            &self,
            request: ::rmcp::model::ReadResourceRequestParams,
            _: ::rmcp::service::RequestContext<::rmcp::RoleServer>,
        ) -> ::std::result::Result<::rmcp::model::ReadResourceResponse, ::rmcp::ErrorData> {
            $crate::Resources::read(self, &request.uri).await.map(::std::convert::Into::into)
        }
    };
}
