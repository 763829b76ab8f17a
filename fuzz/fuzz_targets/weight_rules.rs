//! Weights by rule: what is accepted can be made, if it is small.
#![no_main]

use kinora_quant::Weights;
use kinora_quant::synth::RuleWeights;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(weights) = RuleWeights::parse_json(bytes) else {
        return;
    };
    for name in weights.names().iter().take(4) {
        let info = weights.info(name).expect("it is listed");
        if info.elements() <= 4096 {
            let tensor = weights.tensor(name).expect("it is small");
            assert_eq!(tensor.to_f32().expect("rules give floats").len(), info.elements());
        }
    }
});
