//! The properties hold for every committed seed, without a fuzzer.
//!
//! This is one test, because the targets measure the allocations of the whole process.

use std::{fs, path::Path};

use tributary_fuzz::TARGETS;

#[test]
fn every_seed_holds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds");
    for (target, check) in TARGETS {
        let mut count = 0;
        for seed in fs::read_dir(seeds.join(target)).unwrap() {
            let path = seed.unwrap().path();
            eprintln!("{}", path.display());
            check(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 2, "{target} has {count} seeds");
    }
    // The pages of a real kubelet.
    for number in 1..=8 {
        let page = format!("../golden/kubelet-1.36/resource-{number}.txt");
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
        tributary_fuzz::page::check(&fs::read(page).unwrap());
    }
    // The pages of older kubelets, in both formats.
    let older = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/kubelet-older");
    let (mut texts, mut summaries) = (0, 0);
    for page in fs::read_dir(older).unwrap() {
        let path = page.unwrap().path();
        let page = fs::read(&path).unwrap();
        match path.extension().and_then(|end| end.to_str()) {
            Some("txt") => {
                tributary_fuzz::page::check(&page);
                texts += 1;
            }
            Some("json") => {
                tributary_fuzz::summary::check(&page);
                summaries += 1;
            }
            _ => {}
        }
    }
    assert_eq!((texts, summaries), (6, 4));
}
