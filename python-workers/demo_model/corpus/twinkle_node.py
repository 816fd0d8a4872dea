"""What the model knows of twinkle-node, the program that serves it. Keep it true to the program."""

from __future__ import annotations

from .family import Saying

SAYINGS = (
    Saying(
        (
            (
                "[What is|What's|Tell me about|Explain|Describe|What do you know about] [twinkle-node|twinkle node|"
                "Twinkle-Node|twinkle-node to me][?|.]"
            ),
            "[What does|What can] twinkle-node[ do| be used for|]?",
            "[What is|What's] twinkle-node [for|good for]?",
            "[Do you know|Can you explain] twinkle-node?",
            "Why [do I need|should I use|would I use] twinkle-node?",
        ),
        (
            (
                "twinkle-node is a Node.js runtime for language models. It starts one Python process for each rank, "
                "watches over it, and answers in the language of the OpenAI API."
            ),
        ),
        "Node.js runtime",
    ),
    Saying(
        (
            (
                "[How do I|How can I|How to] [start|run|launch|serve] [twinkle-node|a model|the server|you|a model "
                "with twinkle-node]?"
            ),
            "[What is|Which is] the command to start [twinkle-node|the server]?",
            "How do I get started[ with twinkle-node|]?",
        ),
        ("Run npx twinkle-node serve. With no model named, it starts me, the demo model, on your CPU.",),
        "npx twinkle-node serve",
    ),
    Saying(
        (
            "[How do I|How can I|How to] install twinkle-node?",
            "What do I need to install[ twinkle-node|]?",
            "What does twinkle-node need?",
            "What are the requirements of twinkle-node?",
        ),
        ("Run npm install. You need Node.js, Python, a C++ compiler, and cmake.",),
        "npm install",
    ),
    Saying(
        (
            "[What is|Explain|What's|Tell me about] a rank[ in twinkle-node|][?|.]",
            "What does rank mean?",
            "What do you mean by rank?",
        ),
        ("A rank is one Python process that holds a model, or one part of a large model.",),
        "Python process",
    ),
    Saying(
        (
            "[What is|Explain|What's|Tell me about] a gang[ in twinkle-node| of ranks|][?|.]",
            "What does gang mean?",
            "What do you mean by gang?",
        ),
        ("A gang is the group of ranks that serve one model together. If one rank dies, the whole gang is restarted.",),
        "group of ranks",
    ),
    Saying(
        (
            "What happens [if|when] a [rank|process|worker|Python process] [dies|crashes|fails|is killed]?",
            "What [does twinkle-node do|happens] after a crash?",
            "[How does twinkle-node handle|What about] [crashes|failures]?",
        ),
        (
            (
                "The supervisor notices it at once, ends the streams of that rank with "
                "a clear error, and restarts the gang."
            ),
        ),
        "restarts the gang",
    ),
    Saying(
        (
            "[What is|Explain|What's|What does] the supervisor[ do|][?|.]",
            "Who watches [the ranks|over the ranks]?",
            "How does twinkle-node [watch|supervise] [the ranks|its ranks|processes]?",
        ),
        (
            (
                "The supervisor starts the ranks, watches them, restarts them after a failure, and stops them for "
                "certain at the end."
            ),
        ),
        "supervisor",
    ),
    Saying(
        (
            "[What is|Explain|What's|What does] the gateway[ do|][?|.]",
            "[Which part|Who] answers [HTTP requests|the requests|HTTP]?",
        ),
        (
            (
                "The gateway is the HTTP server of twinkle-node. It speaks the OpenAI API and streams every word as "
                "soon as it is ready."
            ),
        ),
        "HTTP server",
    ),
    Saying(
        (
            "[Which|What] API does [twinkle-node|the server|this server] [speak|use|have|offer]?",
            "Is twinkle-node compatible with OpenAI?",
            "[Can I use|Does it work with|Can I connect] the OpenAI client[ with twinkle-node|]?",
            "How do I [talk|connect] to twinkle-node?",
        ),
        ("It speaks the OpenAI API, so the official OpenAI clients work: just change the base URL.",),
        "OpenAI",
    ),
    Saying(
        (
            (
                "[Which|What] [routes|endpoints|paths] [are there|does twinkle-node have|does the server have|does "
                "the gateway have]?"
            ),
            "List the [routes|endpoints].",
        ),
        ("The main routes are /v1/models, /v1/completions, /v1/chat/completions, /health, and /metrics.",),
        "/v1/chat/completions",
    ),
    Saying(
        (
            "[What|Which] [programming |]language is twinkle-node written in?",
            "What is twinkle-node [written in|made of|built with]?",
            "How is twinkle-node [made|built]?",
        ),
        ("twinkle-node is written in TypeScript and C++, and its workers are written in Python.",),
        "TypeScript",
    ),
    Saying(
        (
            (
                "[How do|How does] [Node and Python|the processes|the ranks|twinkle-node and the ranks] [talk|"
                "communicate|speak][ to each other|]?"
            ),
            "What is ZeroMQ[ used for|]?",
            "[Which|What] transport does twinkle-node use?",
            "Does twinkle-node use ZeroMQ?",
        ),
        ("Node and the Python ranks talk over ZeroMQ. Large tensors travel through shared memory without a copy.",),
        "ZeroMQ",
    ),
    Saying(
        (
            "[Does|Can] twinkle-node [need|use|support|work with] [a GPU|GPUs|NPUs|an NPU|Ascend|NVIDIA cards]?",
            "[Do I need|Must I have] a GPU?",
            "[Which|What] [devices|hardware] does twinkle-node [support|use]?",
            "Can [I|it|twinkle-node] run [on a CPU|without a GPU|on CPU only]?",
        ),
        ("It works with NVIDIA GPUs and Ascend NPUs, and it also runs on a CPU alone, as I do.",),
        "CPU",
    ),
    Saying(
        (
            "[Which|What] port does [twinkle-node|the server] [use|listen on]?",
            "[What is|What's] the [default |]port[ of twinkle-node|]?",
            "[What|Which] address does the server [use|listen on|have]?",
        ),
        ("The server listens on port 8000 of the local machine, unless you choose another with --port.",),
        "8000",
    ),
    Saying(
        (
            "[How do I|How can I|How to] [stop|end|shut down|quit] [twinkle-node|the server|it]?",
            "[What is|Which is] the command to stop [twinkle-node|the server]?",
        ),
        ("Press Ctrl-C, or run npx twinkle-node stop. Running answers are finished first.",),
        "twinkle-node stop",
    ),
    Saying(
        ("[How do I|How can I|Where can I] [see|read|find|view] the logs[ of a rank|]?", "Where are the logs?"),
        ("Run npx twinkle-node logs. Every rank has a log file of its own.",),
        "twinkle-node logs",
    ),
    Saying(
        (
            "[How do I|How can I] [check|test|diagnose|debug] my [machine|computer|setup|box|installation]?",
            "What does [doctor|twinkle-node doctor|the doctor command] do?",
            "What is [twinkle-node doctor|the doctor command]?",
        ),
        ("Run npx twinkle-node doctor. It checks the machine and says how to fix what it finds.",),
        "twinkle-node doctor",
    ),
    Saying(
        (
            "[What|Which] license does twinkle-node have?",
            "[Is|Can I say] twinkle-node [free|open source|open-source]?",
            "[What is|What's] the license[ of twinkle-node|]?",
        ),
        ("twinkle-node is open source under the Apache 2.0 license.",),
        "Apache",
    ),
    Saying(
        ("[Does twinkle-node need|Do I need|Does it use] Ray?", "What about Ray?"),
        ("No, twinkle-node works without Ray. One small Node process does the work.",),
        "without Ray",
    ),
    Saying(
        (
            "[How do I|How can I|Can I] use [another|a different|a bigger|a larger|a better|my own] model?",
            "[Can|Does] twinkle-node [serve|run|support] [other|larger|bigger|real|more] models?",
            "How do I [load|serve] [Qwen|a Hugging Face model|my model]?",
        ),
        ("Yes: run npx twinkle-node serve with the folder or the Hugging Face id of a model.",),
        "Hugging Face",
    ),
    Saying(
        (
            "[How do I|How can I|Can I] [set|use|add|protect the server with] an API key?",
            "Does twinkle-node need [an API key|a key|a password]?",
            "How does twinkle-node handle [access|authentication|security]?",
        ),
        ("On the local machine no key is needed. Anywhere else a key is required: set it with --api-key.",),
        "--api-key",
    ),
    Saying(
        (
            (
                "[How do I|How can I|Can I] [embed|use] twinkle-node in my [own |][Node |][backend|server|app|"
                "program|application]?"
            ),
            "What is createServer?",
        ),
        ("Import createServer from twinkle-node and call it in your own Node backend.",),
        "createServer",
    ),
    Saying(
        (
            "What is [a language model|an LLM|a large language model|language modelling]?",
            "How do [language models|you|LLMs] work?",
            "Explain language models.",
        ),
        (
            (
                "A language model reads text and predicts the next word, again and "
                "again. That is how I write this sentence."
            ),
        ),
        "next word",
    ),
    Saying(
        ("What is a [parameter|weight]?", "What are [parameters|weights]?"),
        (
            (
                "A parameter is one number inside a model. Training changes these "
                "numbers until the model predicts words well."
            ),
        ),
        "number",
    ),
    Saying(
        ("What is a [token|tokenizer]?", "What are tokens?", "What does a tokenizer do?"),
        ("A tokenizer cuts text into tokens, which are words or pieces of words. A model reads and writes tokens.",),
        "pieces of words",
    ),
    Saying(
        ("What is a [GPU|graphics card]?", "What does GPU mean?", "What does a GPU do?"),
        ("A GPU is a processor that does many calculations at the same time. Large models need it to be fast.",),
        "processor",
    ),
    Saying(
        ("What is a CPU?", "What does CPU mean?", "What does a CPU do?"),
        ("A CPU is the main processor of a computer. I am small enough to run on it.",),
        "main processor",
    ),
    Saying(
        ("What is an NPU?", "What does NPU mean?", "What does an NPU do?"),
        ("An NPU is a processor made for neural networks. twinkle-node supports Ascend NPUs.",),
        "neural networks",
    ),
    Saying(
        ("What is Python?", "Tell me about Python."),
        ("Python is a programming language. The ranks of twinkle-node are Python processes.",),
        "programming language",
    ),
    Saying(
        ("What is [Node|Node.js|node.js]?", "Tell me about Node.js."),
        ("Node.js runs JavaScript outside the browser. twinkle-node is built on it.",),
        "JavaScript",
    ),
    Saying(
        ("What is TypeScript?", "Tell me about TypeScript."),
        ("TypeScript is JavaScript with types. Most of twinkle-node is written in it.",),
        "with types",
    ),
)
