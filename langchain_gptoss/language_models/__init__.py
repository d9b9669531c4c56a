"""The parts that `ChatGptOss` and `GptOssLLM` share: options, one generation, tools, structured output."""
