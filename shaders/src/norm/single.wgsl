// Rows are read element by element.
alias Part = f32;

fn total(part: Part) -> f32 {
    return part;
}

fn activate_part(part: Part) -> Part {
    return activate(vec4<f32>(part)).x;
}
