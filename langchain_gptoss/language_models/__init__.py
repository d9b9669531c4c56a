"""The parts that `ChatGptOss` and `GptOssLLM` share: options, generation, tools, structured output."""
