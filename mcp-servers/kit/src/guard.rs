//! Between rmcp and a server's own code: time, size and pages of every answer are bounded here, failures get their typed
//! form, and the request's record hears how it went. A server's author can forget none of them.
#![expect(deprecated, reason = "the older era of MCP has methods that the newer one has not")]

use crate::cursor;
use crate::error::{CANCELLED, DEADLINE_EXCEEDED, FAILED, INVALID_ARGUMENTS, RESULT_TOO_LARGE, ToolError};
use crate::flags::Limits;
use crate::record::Note;
use crate::schema;
use futures_util::FutureExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, CancelledNotificationParam,
    CompleteRequestMethod, CompleteRequestParams, CompleteResult, ConstString, CustomNotification,
    CustomRequest, CustomResult, DiscoverResult, ErrorCode, Extensions, GetPromptRequestMethod,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, InitializeRequestParams,
    InitializeResult, ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
    ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion, ReadResourceRequestMethod,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscribeRequestParams, SubscriptionFilter, Tool, UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext};
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde::Serialize;
use std::borrow::Cow;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// A server's handler, with the bounds around it.
#[derive(Clone)]
pub(crate) struct Guard<H> {
    handler: H,
    limits: Limits,
}

/// What rmcp's router writes before serde's words when arguments don't fit.
const ARGUMENTS: &str = "failed to deserialize parameters: ";

impl<H: ServerHandler> Guard<H> {
    pub(crate) fn new(handler: H, limits: Limits) -> Self {
        Self { handler, limits }
    }

    /// Runs what a request asks for until it is done, out of time or taken back; in the last two cases it is dropped. A panic
    /// is an answer, too: else its caller would wait for ever. The standard library has written it to standard error.
    /// The work comes in a box: each open session has room for the largest of these futures.
    async fn bounded<T>(
        &self,
        stopped: impl Future<Output = ()>,
        work: impl Future<Output = Result<T, ErrorData>>,
    ) -> Result<Result<T, ErrorData>, ToolError> {
        let limit = self.limits.request_timeout;
        tokio::select! {
            biased;
            () = stopped => Err(ToolError::new(CANCELLED, "the call was taken back", "Call again if it is still wanted")),
            done = AssertUnwindSafe(work).catch_unwind() => done.map_err(|_| {
                ToolError::new(FAILED, "the server made a mistake", "Try again later; the server's log says what it was")
            }),
            () = tokio::time::sleep(limit) => Err(ToolError::new(
                DEADLINE_EXCEEDED,
                format!("the call took longer than {} s and was ended", limit.as_secs()),
                "Ask for less at once, or try again later",
            )),
        }
    }

    /// The same for everything that isn't a tool, and so knows JSON-RPC errors alone.
    async fn answered<T>(
        &self,
        context: RequestContext<RoleServer>,
        measure: impl FnOnce(&T, Count) -> bool,
        work: impl AsyncFnOnce(RequestContext<RoleServer>) -> Result<T, ErrorData>,
    ) -> Result<T, ErrorData> {
        let note = note(&context.extensions);
        let stopped = context.ct.clone().cancelled_owned();
        let done = self.bounded(stopped, Box::pin(work(context))).await;
        let answer = match done {
            Ok(Ok(answer)) if measure(&answer, self.count()) => Ok(answer),
            Ok(Ok(_)) => {
                Err((RESULT_TOO_LARGE.as_str(), self.too_large().protocol(ErrorCode::INVALID_PARAMS)))
            }
            Ok(Err(error)) => Err((word(&error), error)),
            Err(stop) => Err((stop.code().as_str(), stop.protocol(ErrorCode::INTERNAL_ERROR))),
        };
        if let Some(note) = note {
            note.ended(answer.as_ref().map_or_else(|(code, _)| *code, |_| "ok"));
        }
        answer.map_err(|(_, error)| error)
    }

    /// What a server doesn't declare isn't there: rmcp's own default would be an empty list.
    fn declared<M: ConstString>(
        &self,
        context: &RequestContext<RoleServer>,
        declares: impl FnOnce(&ServerCapabilities) -> bool,
    ) -> Result<(), ErrorData> {
        if declares(&self.handler.get_info().capabilities) {
            return Ok(());
        }
        let error = ErrorData::method_not_found::<M>();
        if let Some(note) = note(&context.extensions) {
            note.ended(word(&error));
        }
        Err(error)
    }

    fn count(&self) -> Count {
        Count { bytes: 0, max: self.limits.result_bytes_max }
    }

    fn too_large(&self) -> ToolError {
        ToolError::new(
            RESULT_TOO_LARGE,
            format!("the answer is longer than {} bytes", self.limits.result_bytes_max),
            "Ask for less: a smaller page, a narrower range or a filter",
        )
    }

    /// A tool's result in its final form: typed if it is a failure, and within the bound.
    fn settled(&self, response: CallToolResponse) -> CallToolResponse {
        let CallToolResponse::Complete(result) = response else { return response };
        let result = if result.is_error == Some(true) && result.structured_content.is_none() {
            typed(&result).result()
        } else {
            result
        };
        if fits(&result, self.count()) { result.into() } else { self.too_large().result().into() }
    }
}

/// Counts what is written and fails behind the bound, so that nothing long is written for its length alone.
struct Count {
    bytes: usize,
    max: usize,
}

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > self.max { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Whether an answer stays within the bound, as JSON.
fn fits(answer: &impl Serialize, mut count: Count) -> bool {
    serde_json::to_writer(&mut count, answer).is_ok()
}

/// A failure that came as text only: arguments that are not of the schema (a tool's error, as MCP has it since
/// 2025-11-25, SEP-1303: a model can mend its call), or an author's own words.
fn typed(result: &CallToolResult) -> ToolError {
    let text = result.content.first().and_then(|block| block.as_text()).map_or("", |text| &text.text);
    match text.strip_prefix(ARGUMENTS) {
        Some(wrong) => {
            ToolError::new(INVALID_ARGUMENTS, wrong, "Give the arguments as the tool's input schema says")
        }
        None => ToolError::new(FAILED, text, "Change the call, or try again later"),
    }
}

/// Where the record of a request hears how it went.
pub(crate) fn note(extensions: &Extensions) -> Option<Arc<Note>> {
    extensions.get::<http::request::Parts>()?.extensions.get::<Arc<Note>>().cloned()
}

/// A JSON-RPC error in a word of ours.
fn word(error: &ErrorData) -> &'static str {
    match error.code {
        ErrorCode::INVALID_PARAMS => "invalid_params",
        ErrorCode::METHOD_NOT_FOUND => "method_not_found",
        ErrorCode::RESOURCE_NOT_FOUND => "resource_not_found",
        ErrorCode::INTERNAL_ERROR => "internal_error",
        _ => "protocol_error",
    }
}

fn failed_with(result: &CallToolResult) -> Option<&str> {
    if result.is_error != Some(true) {
        return None;
    }
    let code = result.structured_content.as_ref().and_then(|content| content["error"]["code"].as_str());
    Some(code.unwrap_or(FAILED.as_str()))
}

fn cursor_of(request: Option<&PaginatedRequestParams>) -> Option<&str> {
    request.and_then(|request| request.cursor.as_deref())
}

impl<H: ServerHandler> ServerHandler for Guard<H> {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let note = note(&context.extensions);
        let stopped = context.ct.clone().cancelled_owned();
        let done = self.bounded(stopped, Box::pin(self.handler.call_tool(request, context))).await;
        let response = match done {
            Ok(Ok(response)) => self.settled(response),
            Ok(Err(error)) => {
                if let Some(note) = note {
                    note.ended(word(&error));
                }
                return Err(error);
            }
            Err(stop) => stop.result().into(),
        };
        if let Some(note) = note {
            let failed = match &response {
                CallToolResponse::Complete(result) => failed_with(result),
                _ => None,
            };
            note.tool_ended(failed);
        }
        Ok(response)
    }

    /// All tools in the order of their names, in pages, with schemas that JSON Schema knows all of.
    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        self.answered(context, fits, async |context| {
            let mut list = self.handler.list_tools(None, context).await?;
            let count = self.limits.list_items_max;
            let (tools, next) =
                cursor::page(list.tools, |tool| &tool.name, cursor_of(request.as_ref()), count)?;
            list.tools = tools.into_iter().map(schema::plain_tool).collect();
            list.next_cursor = next;
            Ok(list)
        })
        .await
    }

    /// As it is: rmcp asks at each call, for header names alone.
    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.handler.get_tool(name)
    }

    async fn list_prompts(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        self.declared::<ListPromptsRequestMethod>(&context, |all| all.prompts.is_some())?;
        self.answered(context, fits, async |context| {
            let mut list = self.handler.list_prompts(None, context).await?;
            let count = self.limits.list_items_max;
            (list.prompts, list.next_cursor) =
                cursor::page(list.prompts, |prompt| &prompt.name, cursor_of(request.as_ref()), count)?;
            Ok(list)
        })
        .await
    }

    async fn list_resource_templates(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        self.declared::<ListResourceTemplatesRequestMethod>(&context, |all| all.resources.is_some())?;
        self.answered(context, fits, async |context| {
            let mut list = self.handler.list_resource_templates(None, context).await?;
            let (all, count) = (list.resource_templates, self.limits.list_items_max);
            (list.resource_templates, list.next_cursor) =
                cursor::page(all, |template| &template.uri_template, cursor_of(request.as_ref()), count)?;
            Ok(list)
        })
        .await
    }

    /// There may be more resources than fit into memory, so their pages are the handler's.
    async fn list_resources(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        self.declared::<ListResourcesRequestMethod>(&context, |all| all.resources.is_some())?;
        self.answered(context, fits, async |context| self.handler.list_resources(request, context).await)
            .await
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        self.declared::<ReadResourceRequestMethod>(&context, |all| all.resources.is_some())?;
        let fits = |answer: &ReadResourceResponse, count| match answer {
            ReadResourceResponse::Complete(result) => fits(result, count),
            ReadResourceResponse::InputRequired(result) => fits(result, count),
            _ => false, // A later rmcp's: nobody knows how long.
        };
        self.answered(context, fits, async |context| self.handler.read_resource(request, context).await).await
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        self.declared::<GetPromptRequestMethod>(&context, |all| all.prompts.is_some())?;
        let fits = |answer: &GetPromptResponse, count| match answer {
            GetPromptResponse::Complete(result) => fits(result, count),
            GetPromptResponse::InputRequired(result) => fits(result, count),
            _ => false, // A later rmcp's: nobody knows how long.
        };
        self.answered(context, fits, async |context| self.handler.get_prompt(request, context).await).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        self.declared::<CompleteRequestMethod>(&context, |all| all.completions.is_some())?;
        self.answered(context, fits, async |context| self.handler.complete(request, context).await).await
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        self.answered(context, fits, async |context| self.handler.on_custom_request(request, context).await)
            .await
    }

    // What follows is the handler's own, as it is: it opens, keeps and ends, and bounds of time would be wrong there.

    async fn ping(&self, context: RequestContext<RoleServer>) -> Result<(), ErrorData> {
        self.handler.ping(context).await
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        self.handler.initialize(request, context).await
    }

    fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Result<InitializeResult, ErrorData> {
        self.handler.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.handler.supported_protocol_versions()
    }

    async fn discover(&self, context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        self.handler.discover(context).await
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.handler.set_level(request, context).await
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.handler.accepted_subscription_filter(requested)
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.handler.listen(context).await
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.handler.subscribe(request, context).await
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.handler.unsubscribe(request, context).await
    }

    async fn on_cancelled(
        &self,
        notification: CancelledNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.handler.on_cancelled(notification, context).await;
    }

    async fn on_progress(
        &self,
        notification: ProgressNotificationParam,
        context: NotificationContext<RoleServer>,
    ) {
        self.handler.on_progress(notification, context).await;
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.handler.on_initialized(context).await;
    }

    async fn on_roots_list_changed(&self, context: NotificationContext<RoleServer>) {
        self.handler.on_roots_list_changed(context).await;
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        context: NotificationContext<RoleServer>,
    ) {
        self.handler.on_custom_notification(notification, context).await;
    }

    fn get_info(&self) -> ServerConfig {
        self.handler.get_info()
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        self.handler.get_task(request, context).await
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.handler.update_task(request, context).await
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.handler.cancel_task(request, context).await
    }
}
