// Rows are read four elements at a time.
alias Part = vec4<f32>;

fn total(part: Part) -> f32 {
    return dot(part, vec4<f32>(1.0));
}

fn activate_part(part: Part) -> Part {
    return activate(part);
}
