"""How parents do: who answers, who is left alone, until when and why."""
