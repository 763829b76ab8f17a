// Runs of four: no more is worth loading at once.
const WEIGHT_RUN = 4u;
alias WeightRun = vec4<f32>;

fn weight_run(row: u32, k: u32) -> WeightRun {
    return load_weight4(row, k);
}

fn run_weight4(run: WeightRun, i: u32) -> vec4<f32> {
    return run;
}
