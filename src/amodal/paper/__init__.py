"""The paper's tables and figures, each by one command: trained and measured alike, the paper's numbers beside."""
