//! `mcp-units`, an MCP server that converts units: all that a server behind the gateway has to write itself.

use clap::Parser;
use kit::{Code, Json, Service, ToolError};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{
    ErrorCode, Implementation, ListResourcesResult, PaginatedRequestParams, ReadResourceRequestParams,
    ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, ServerCapabilities, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, tool, tool_handler, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An MCP server that converts units, behind the gateway
#[derive(Parser)]
#[command(name = "mcp-units", version)]
struct Command {
    #[command(flatten)]
    door: kit::Flags,
}

/// Every unit: its name, its symbol, and how it is told in the base unit of its kind.
const UNITS: [Unit; 5] = [
    Unit { name: "metre", symbol: "m", kind: Kind::Length, factor: 1.0, offset: 0.0 },
    Unit { name: "foot", symbol: "ft", kind: Kind::Length, factor: 0.3048, offset: 0.0 },
    Unit { name: "kelvin", symbol: "K", kind: Kind::Temperature, factor: 1.0, offset: 0.0 },
    Unit { name: "celsius", symbol: "°C", kind: Kind::Temperature, factor: 1.0, offset: 273.15 },
    Unit { name: "fahrenheit", symbol: "°F", kind: Kind::Temperature, factor: 5.0 / 9.0, offset: 459.67 },
];

const UNKNOWN_UNIT: Code = Code::new("unknown_unit");
const OTHER_KIND: Code = Code::new("other_kind");

/// A unit; the value in the base unit is `(value + offset) * factor`.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
struct Unit {
    /// Its name, as the tools take it
    name: &'static str,
    /// Its symbol
    symbol: &'static str,
    /// What it measures
    kind: Kind,
    #[serde(skip)]
    factor: f64,
    #[serde(skip)]
    offset: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Kind {
    Length,
    Temperature,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Units {
    /// All of them
    units: [Unit; 5],
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConvertArguments {
    /// How much
    value: f64,
    /// The unit that it is in
    from: String,
    /// The unit that is wanted
    to: String,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Converted {
    /// The value in the wanted unit
    value: f64,
    /// That unit
    unit: String,
}

#[derive(Clone)]
pub(crate) struct Server;

#[tool_router(vis = "pub(crate)")]
impl Server {
    /// Lists the units that can be converted into each other.
    #[tool(title = "List units", annotations(read_only_hint = true, open_world_hint = false))]
    async fn list_units(&self) -> Json<Units> {
        Json::new(Units { units: UNITS }, UNITS.map(|unit| unit.name).join(", "))
    }

    /// Converts a value from one unit to another of the same kind.
    #[tool(title = "Convert", annotations(read_only_hint = true, open_world_hint = false))]
    async fn convert(
        &self,
        Parameters(asked): Parameters<ConvertArguments>,
    ) -> Result<Json<Converted>, ToolError> {
        let (from, to) = (unit(&asked.from)?, unit(&asked.to)?);
        if from.kind != to.kind {
            let text = format!("{} and {} measure different things", from.name, to.name);
            return Err(ToolError::new(OTHER_KIND, text, "Name two units of one kind"));
        }
        let value = (asked.value + from.offset) * from.factor / to.factor - to.offset;
        let text = format!("{} {} are {value} {}", asked.value, from.symbol, to.symbol);
        Ok(Json::new(Converted { value, unit: to.name.to_owned() }, text))
    }
}

fn unit(name: &str) -> Result<Unit, ToolError> {
    let unknown = || ToolError::new(UNKNOWN_UNIT, format!("there is no unit {name:?}"), "See list_units");
    UNITS.into_iter().find(|unit| unit.name == name).ok_or_else(unknown)
}

#[tool_handler]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(Implementation::new("mcp-units", env!("CARGO_PKG_VERSION")))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("units://table", "All units")]))
    }

    async fn read_resource(
        &self,
        asked: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if asked.uri != "units://table" {
            return Err(ErrorData::new(ErrorCode::RESOURCE_NOT_FOUND, "there is units://table alone", None));
        }
        let lines = UNITS.map(|unit| format!("{}\t{}", unit.name, unit.symbol)).join("\n");
        Ok(ReadResourceResult::new(vec![ResourceContents::text(lines, asked.uri)]).into())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(command) = kit::parse::<Command>(Server::tool_router().list_all()) else { return Ok(()) };
    Ok(kit::run(Service::new("units", Server), &command.door).await?)
}
