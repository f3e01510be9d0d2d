// Alerts and dashboard as a monitoring mixin, from the files that the chart installs.
//
//   local tributary = import 'mixin.libsonnet' + { _config+:: { runbook: 'https://wiki.example.com/tributary/RUNBOOK.md' } };
{
  _config+:: {
    // The address under which you serve docs/RUNBOOK.md. Without it alerts have no runbook_url.
    runbook: '',
    // Labels of every alert.
    alertLabels: {},
  },

  local config = self._config,
  local withConfig(rule) = rule {
    labels+: config.alertLabels,
    annotations: {
      [key]: if key == 'runbook_url' then std.strReplace(rule.annotations[key], 'docs/RUNBOOK.md', config.runbook) else rule.annotations[key]
      for key in std.objectFields(rule.annotations)
      if key != 'runbook_url' || config.runbook != ''
    },
  },

  prometheusAlerts+:: {
    groups+: [
      group { rules: std.map(withConfig, group.rules) }
      for group in std.parseYaml(importstr '../helm/tributary/files/alerts.yaml').groups
    ],
  },

  grafanaDashboards+:: {
    'tributary.json': import '../helm/tributary/files/dashboard.json',
  },
}
