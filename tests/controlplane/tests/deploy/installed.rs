//! The chart, applied for real: its pods run, kube-apiserver asks them, `kubectl top` answers.

use crate::site::on_site;

#[test]
fn the_chart_as_it_is_serves_kubectl_top() -> anyhow::Result<()> {
    on_site(async |site| {
        site.install(&[]).await?;
        site.available().await?;
        let top = site.top().await?;
        println!("{top}");
        Ok(())
    })
}
