"""The scorecard of triage: 200 issues written by hand, in English and Japanese, half of them set aside before tuning."""
