"""The calls that cross rooms, as plain as a recipe."""
