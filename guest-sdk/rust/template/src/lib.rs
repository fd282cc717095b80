use everwit_guest::prelude::*;

/// Greets somebody.
#[tool(read_only)]
fn greet(
    /// Who is greeted
    name: &str,
) -> Result<String> {
    if name.trim().is_empty() {
        return Err(Failure::invalid("empty_name", "name is empty: give one"));
    }
    Ok(format!("Hello, {name}!"))
}

capability! { id: "{{name}}", title: "{{title}}", summary: "Greets people.", tools: [greet] }
