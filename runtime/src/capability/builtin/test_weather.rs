//! `test_weather`: made-up weather, always the same for a place, to try tools with.

use std::sync::LazyLock;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::support::{arguments, json_output, unknown_tool};
use crate::capability::{CallError, Capability, ToolCallContext, ToolDefinition, ToolOutcome, ToolOutput};
use crate::component::Effects;

/// Longest name of a place, in characters.
const MAX_LOCATION_CHARACTERS: usize = 200;
/// Longest forecast, in days.
const MAX_FORECAST_DAYS: u32 = 7;
/// Days of a forecast if the call does not say.
const DEFAULT_FORECAST_DAYS: u32 = 3;
/// What the sky can be like.
const CONDITIONS: [&str; 6] = ["sunny", "partly cloudy", "cloudy", "rain", "thunderstorm", "snow"];

static TOOLS: LazyLock<[ToolDefinition; 2]> = LazyLock::new(|| {
    let location =
        json!({"type": "string", "pattern": "\\S", "maxLength": MAX_LOCATION_CHARACTERS, "description": "The place, for example Lisbon."});
    let units = json!({"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of temperatures; celsius if absent."});
    let days = json!({
        "type": "integer", "minimum": 1, "maximum": MAX_FORECAST_DAYS,
        "description": format!("How many days from tomorrow on; {DEFAULT_FORECAST_DAYS} if absent."),
    });
    [
        tool("get_weather", "Weather", "Tells made-up current weather of a place.", json!({ "location": location, "units": units })),
        tool(
            "get_forecast",
            "Forecast",
            "Tells made-up weather of a place for the days to come.",
            json!({ "location": location, "units": units, "days": days }),
        ),
    ]
});

fn tool(name: &str, title: &str, description: &str, properties: Value) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        input_schema: json!({
            "type": "object",
            "properties": properties,
            "required": ["location"],
            "additionalProperties": false,
        }),
        effects: Effects { read_only: true, destructive: false, idempotent: true, open_world: false },
    }
}

/// Makes up weather from the name of a place; case and outer white space make no difference.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestWeatherCapability;

#[async_trait]
impl Capability for TestWeatherCapability {
    fn id(&self) -> &str {
        "test_weather"
    }

    fn name(&self) -> &str {
        "Test weather"
    }

    fn description(&self) -> &str {
        "Makes up weather, always the same for a place; to try tools with."
    }

    fn tools(&self) -> &[ToolDefinition] {
        &*TOOLS
    }

    async fn call_tool(&self, _call: &ToolCallContext, tool: &str, arguments: Value) -> ToolOutcome {
        ToolOutcome::native(match tool {
            "get_weather" => weather(arguments),
            "get_forecast" => forecast(arguments),
            _ => Err(unknown_tool(tool)),
        })
    }
}

#[derive(Deserialize)]
struct WeatherCall {
    location: String,
    #[serde(default)]
    units: Units,
}

#[derive(Deserialize)]
struct ForecastCall {
    #[serde(flatten)]
    place: WeatherCall,
    days: Option<u32>,
}

#[derive(Deserialize, Serialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum Units {
    #[default]
    Celsius,
    Fahrenheit,
}

impl Units {
    fn shown(self, celsius: i32) -> f64 {
        match self {
            Self::Celsius => f64::from(celsius),
            // Divided last, so that the result is rounded only once.
            Self::Fahrenheit => f64::from(celsius * 9 + 160) / 5.0,
        }
    }
}

fn weather(given: Value) -> Result<ToolOutput, CallError> {
    let WeatherCall { location, units } = arguments(given)?;
    let now = Day::of(&location, 0);
    json_output(&json!({
        "location": location,
        "units": units,
        "temperature": units.shown(now.high),
        "conditions": now.conditions,
        "humidity_percent": now.humidity_percent,
        "wind_kmh": now.wind_kmh,
    }))
}

fn forecast(given: Value) -> Result<ToolOutput, CallError> {
    let ForecastCall { place: WeatherCall { location, units }, days } = arguments(given)?;
    // The schema bounds the number already; this keeps the loop bounded whoever calls.
    let last = days.unwrap_or(DEFAULT_FORECAST_DAYS).min(MAX_FORECAST_DAYS);
    let days: Vec<Value> = (1..=last)
        .map(|number| {
            let day = Day::of(&location, number);
            json!({ "day": number, "high": units.shown(day.high), "low": units.shown(day.low), "conditions": day.conditions })
        })
        .collect();
    json_output(&json!({ "location": location, "units": units, "days": days }))
}

/// The weather of one day; temperatures in degrees Celsius.
struct Day {
    high: i32,
    low: i32,
    conditions: &'static str,
    humidity_percent: u8,
    wind_kmh: u8,
}

impl Day {
    /// Day 0 is today. The digest is the same on every host and in every release, unlike the
    /// hashes of the standard library.
    fn of(location: &str, number: u32) -> Self {
        let seed: [u8; 32] = Sha256::digest(format!("{number} {}", location.trim().to_lowercase())).into();
        let [high, drop, conditions, humidity, wind, ..] = seed;
        let high = i32::from(high % 46) - 10;
        Self {
            high,
            low: high - 3 - i32::from(drop % 8),
            conditions: match CONDITIONS[usize::from(conditions) % CONDITIONS.len()] {
                "snow" if high > 3 => "rain",
                other => other,
            },
            humidity_percent: 20 + humidity % 80,
            wind_kmh: wind % 60,
        }
    }
}
